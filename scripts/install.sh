#!/bin/sh
# Installs foster: downloads the binary for this system, verifies its checksum and puts it into ~/.local/bin.
#
#   FOSTER_INSTALL        the folder to install into
#   FOSTER_DOWNLOAD_BASE  where the binaries and SHA256SUMS are: an https://, file:// or loopback http:// address
#
# Needs no root and changes nothing else. Works in any POSIX shell with curl or wget.
set -eu

# Filled in where this script is published.
published_base=""

fail() {
  printf 'Cannot install foster: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
  exit 1
}

base="${FOSTER_DOWNLOAD_BASE:-$published_base}"
[ -n "$base" ] || fail "it is not known where to download it from" \
  "set FOSTER_DOWNLOAD_BASE to the address of a release, or use the install.sh of a release"
base="${base%/}"
case "$base" in
  https://*|file://*|http://127.0.0.1:*|http://127.0.0.1/*|http://localhost:*|http://localhost/*|"http://[::1]"*) ;;
  *) fail "$base is neither https, file nor this machine" "set FOSTER_DOWNLOAD_BASE to such an address" ;;
esac

folder="${FOSTER_INSTALL:-}"
if [ -z "$folder" ]; then
  [ -n "${HOME:-}" ] || fail "HOME is not set" "set FOSTER_INSTALL to the folder to install into"
  folder="$HOME/.local/bin"
fi

exe=""
case "$(uname -s)" in
  Linux) system="linux" ;;
  Darwin) system="macos" ;;
  MINGW*|MSYS*|CYGWIN*) system="windows" exe=".exe" ;;
  *) fail "there is no binary for $(uname -s)" "it also runs from source, with deno or bun" ;;
esac
case "$(uname -m)" in
  x86_64|amd64) machine="x64" ;;
  arm64|aarch64) machine="arm64" ;;
  *) fail "there is no binary for $(uname -m)" "it also runs from source, with deno or bun" ;;
esac
# A shell that is translated for an ARM Mac tells the wrong machine.
if [ "$system" = macos ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null || echo 0)" = 1 ]; then machine="arm64"; fi
# Windows on ARM runs programs for x64.
[ "$system" != windows ] || machine="x64"
libc=""
hint=""
if [ "$system" = linux ]; then
  # Either libc may be there beside the system's own one, so the system's own programs are asked first.
  if getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    :
  elif ldd --version 2>&1 | grep -qi musl; then
    libc="-musl"
  else
    for loader in /lib/ld-musl-*; do
      [ ! -e "$loader" ] || libc="-musl"
    done
    for loader in /lib/ld-linux-* /lib64/ld-linux-*; do
      [ ! -e "$loader" ] || libc=""
    done
  fi
  [ -z "$libc" ] || hint="it needs musl 1.2.4 or later and libstdc++: on Alpine, apk add libstdc++"
fi
name="foster-$system-$machine$libc$exe"

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --location --output "$2" "$1"
  elif command -v wget >/dev/null 2>&1 && [ "${1#file://}" = "$1" ]; then
    wget -q -O "$2" "$1"
  elif [ "${1#file://}" != "$1" ]; then
    cp "${1#file://}" "$2"
  else
    fail "neither curl nor wget is there" "install one of them"
  fi
}

checksum() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 <"$1"
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 -r <"$1"
  else
    fail "neither sha256sum, shasum nor openssl is there, so that the download can't be verified"
  fi
}

mkdir -p "$folder" || fail "$folder can't be made" "set FOSTER_INSTALL to a folder of yours"
# In the same folder, so that it takes its place in one move, also while an older one runs.
draft="$(mktemp -d "$folder/.foster-install-XXXXXX")" || fail "$folder can't be written" \
  "set FOSTER_INSTALL to a folder of yours"
trap 'rm -rf "$draft"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fetch "$base/SHA256SUMS" "$draft/SHA256SUMS" || fail "$base/SHA256SUMS could not be downloaded"
wanted="$(awk -v name="$name" '{ sub(/^\*/, "", $2); if ($2 == name) print $1 }' "$draft/SHA256SUMS")"
[ -n "$wanted" ] || fail "$base/SHA256SUMS has no $name" "there may be no binary for this system in that release"
fetch "$base/$name" "$draft/foster$exe" || fail "$base/$name could not be downloaded"
found="$(checksum "$draft/foster$exe" | awk '{ print $1 }')"
[ "$found" = "$wanted" ] || fail "the checksum of $name is $found, not $wanted: nothing was installed" \
  "try again; if it stays so, do not use that download"

chmod 755 "$draft/foster$exe"
version="$("$draft/foster$exe" --version)" ||
  fail "$name does not run on this system: nothing was installed" "$hint"
mv -f "$draft/foster$exe" "$folder/foster$exe"
printf '%s is installed as %s\n' "$version" "$folder/foster$exe"
case ":${PATH:-}:" in
  *":$folder:"*) ;;
  *) printf '  add it to your PATH: export PATH="%s:$PATH"\n' "$folder" ;;
esac
