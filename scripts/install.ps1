# Installs foster on Windows: downloads the binary, verifies its checksum and puts it into ~\.local\bin.
#
#   FOSTER_INSTALL        the folder to install into
#   FOSTER_DOWNLOAD_BASE  where the binary and SHA256SUMS are: an https://, file:// or loopback http:// address
#
# Needs no administrator and changes nothing else. Works in Windows PowerShell 5.1 and later.
$ErrorActionPreference = 'Stop'
# The progress bar makes downloads many times slower.
$ProgressPreference = 'SilentlyContinue'

# Filled in where this script is published.
$publishedBase = ''

$base = if ($env:FOSTER_DOWNLOAD_BASE) { $env:FOSTER_DOWNLOAD_BASE } else { $publishedBase }
if (-not $base) {
  throw 'Cannot install foster: set FOSTER_DOWNLOAD_BASE to the address of a release, or use the install.ps1 of a release'
}
$base = $base.TrimEnd('/')
if ($base -notmatch '^(https://|file://|http://(127\.0\.0\.1|localhost|\[::1\])([:/]|$))') {
  throw "Cannot install foster: $base is neither https, file nor this machine"
}
$folder = if ($env:FOSTER_INSTALL) { $env:FOSTER_INSTALL } else { Join-Path $HOME '.local\bin' }
# Windows on ARM runs programs for x64.
$name = 'foster-windows-x64.exe'

function Get-Release([string] $file, [string] $target) {
  $address = "$base/$file"
  if ($address.StartsWith('file://')) {
    Copy-Item -LiteralPath ([Uri] $address).LocalPath -Destination $target
  } else {
    Invoke-WebRequest -UseBasicParsing -Uri $address -OutFile $target
  }
}

[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
New-Item -ItemType Directory -Force -Path $folder | Out-Null
# In the same folder, so that it takes its place in one move.
$draft = Join-Path $folder ('.foster-install-' + [Guid]::NewGuid().ToString('N'))
New-Item -ItemType Directory -Path $draft | Out-Null
try {
  $sums = Join-Path $draft 'SHA256SUMS'
  $binary = Join-Path $draft 'foster.exe'
  Get-Release 'SHA256SUMS' $sums
  $wanted = Get-Content $sums | ForEach-Object {
    $sum, $of = $_ -split '\s+\*?', 2
    if ($of -eq $name) { $sum }
  } | Select-Object -First 1
  if (-not $wanted) { throw "Cannot install foster: $base/SHA256SUMS has no $name" }
  Get-Release $name $binary
  $found = (Get-FileHash -Algorithm SHA256 -LiteralPath $binary).Hash
  if ($found -ne $wanted) {
    throw "Cannot install foster: the checksum of $name is $($found.ToLower()), not ${wanted}: nothing was installed"
  }
  $version = & $binary --version
  if ($LASTEXITCODE -ne 0) { throw "Cannot install foster: $name does not run on this system: nothing was installed" }
  $target = Join-Path $folder 'foster.exe'
  # A program that runs can't be replaced, but it can be moved out of the way.
  if (Test-Path -LiteralPath $target) {
    $old = "$target.old"
    Remove-Item -LiteralPath $old -Force -ErrorAction SilentlyContinue
    Move-Item -LiteralPath $target -Destination $old -Force
  }
  Move-Item -LiteralPath $binary -Destination $target
  Write-Output "$version is installed as $target"
  if (($env:PATH -split ';') -notcontains $folder) {
    Write-Output "  add it to your PATH: `$env:PATH = `"$folder;`$env:PATH`""
  }
} finally {
  Remove-Item -LiteralPath $draft -Recurse -Force -ErrorAction SilentlyContinue
}
