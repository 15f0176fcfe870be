#!/usr/bin/env bash
# Wine 10 beside an older Debian: a Debian 13 in a folder, made from the machine's own package mirror, with the work folder
# mounted at the same place inside. Owners in the table of TCP listeners, which foster reads, came with Wine 10.
#   world.sh up                  sets it up; some 90 s the first time
#   world.sh run DIR COMMAND…    runs the command in it, in a private mount namespace that ends with it
# $WINE_WORLD is the work folder.
set -eu
world=${WINE_WORLD:?the work folder}
root=$world/debian
prefix=$world/prefix
here=$(dirname "$(realpath "$0")")

mounted() {
  mkdir -p "$root$world"
  mountpoint -q "$root/proc" || mount --rbind /proc "$root/proc"
  mountpoint -q "$root/dev" || mount --rbind /dev "$root/dev"
  mountpoint -q "$root$world" || mount --bind "$world" "$root$world"
}

inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin HOME=/root LC_ALL=C.UTF-8 WINEPREFIX="$prefix" \
    WINEDEBUG=-all WINEDLLOVERRIDES=mscoree=,mshtml= XDG_RUNTIME_DIR=/tmp "$@"
}

# Nothing that is mounted here is seen, or left behind, outside.
if [ -z "${WINE_WORLD_MOUNTS:-}" ]; then
  WINE_WORLD_MOUNTS=private exec unshare --mount --propagation private -- "$0" "$@"
fi

case ${1:?up or run} in
  up)
    mkdir -p "$world"
    export DEBIAN_FRONTEND=noninteractive
    if ! command -v debootstrap >/dev/null || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
      apt-get update -qq
      apt-get install -y -qq --no-install-recommends debootstrap gcc-mingw-w64-x86-64
    fi
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
    if [ ! -e "$root/.made" ]; then
      rm -rf "$root"
      debootstrap --variant=minbase trixie "$root" "$mirror"
      printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
      touch "$root/.made"
    fi
    mounted
    [ -x "$root/usr/bin/wine" ] ||
      chroot "$root" sh -c 'DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wine wine64'
    library=$prefix/drive_c/windows/system32/bcryptprimitives.dll
    if [ ! -e "$library" ]; then
      inside wine wineboot -i >/dev/null 2>&1 || true
      x86_64-w64-mingw32-gcc -shared -o "$library" "$here/bcryptprimitives.c" -ladvapi32
      inside wineserver -w || true
    fi
    inside wine cmd /c ver
    ;;
  run)
    shift
    folder=$1
    shift
    mounted
    inside sh -c 'cd "$0" && exec env "$@"' "$folder" "$@"
    ;;
  *)
    echo "up or run" >&2
    exit 2
    ;;
esac
