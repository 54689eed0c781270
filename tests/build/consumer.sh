#!/bin/sh
# consumer.sh BUILD SOURCE: installs BUILD into a directory of its own and builds a stranger's program against
# it: by pkg-config and by meson, with the shared library and with the static one, and as a subproject;
# also optimised at link time.
build=$1 source=$2
here=$source/tests/build/consumer
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

check() {
    n=$((n + 1))
    what=$1
    shift
    if "$@" >"$dir/log" 2>&1; then echo "ok $n - $what"; else
        echo "not ok $n - $what"
        tail -n 25 "$dir/log" | sed 's/^/# /'
    fi
}

prefix=$(meson introspect "$build" --buildoptions | tr '{' '\n' | sed -n 's/.*"name": "prefix", "value": "\([^"]*\)".*/\1/p')
root=$dir/root$prefix

install_build() {
    meson install -C "$build" --no-rebuild --destdir "$dir/root" || return 1
    pc=$(find "$root" -name uvcsp.pc)
    [ -n "$pc" ] && sed -i "s|^prefix=.*|prefix=$root|" "$pc"
}
check 'it installs' install_build
libdir=$(dirname "$(find "$root" -name libuvcsp.a)")
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"

prints_its_sum() { [ "$(timeout 20 "$1")" = 'sum 45, {"n": 1}' ]; }

# with_pkg_config NAME PKG-CONFIG-FLAG CC-FLAGS
with_pkg_config() {
    cc=${CC:-cc}
    # shellcheck disable=SC2046,SC2086
    $cc -Wall -Wextra -Werror -o "$dir/$1" "$here/consumer.c" "$here/adder.c" $(pkg-config --cflags uvcsp) $3 \
        $(pkg-config $2 --libs uvcsp) && prints_its_sum "$dir/$1"
}

# with_static_archive CC-FLAGS
with_static_archive() {
    mkdir -p "$dir/hidden" && mv "$libdir"/libuvcsp.so* "$dir/hidden" || return 1
    with_pkg_config pc-static --static "$1"
    result=$?
    mv "$dir/hidden"/libuvcsp.so* "$libdir"
    [ $result = 0 ] && ! ldd "$dir/pc-static" | grep libuvcsp
}

# with_lto COMPILER FLAGS...: optimised at link time, at every level, with both libraries
with_lto() (
    CC=$1
    shift
    for level in -O0 -O1 -O2 -O3; do
        with_pkg_config lto '' "$level $*" || return 1
    done
    with_static_archive "-O2 $*"
)

# with_meson NAME SETUP-ARGUMENTS...
with_meson() {
    name=$1
    shift
    [ -d "$dir/stranger" ] || cp -r "$here" "$dir/stranger"
    meson setup "$dir/$name" "$dir/stranger" --werror "$@" && ninja -C "$dir/$name" &&
        prints_its_sum "$dir/$name/consumer"
}

# as_subproject NAME SETUP-ARGUMENTS...
as_subproject() {
    mkdir -p "$dir/stranger/subprojects" && ln -sfn "$source" "$dir/stranger/subprojects/uvcsp" || return 1
    unset PKG_CONFIG_PATH LD_LIBRARY_PATH
    with_meson "$@" --wrap-mode=forcefallback
}

finds_its_headers() {
    for header in uvcsp.h $(cd "$source/include" && echo uvcsp/*.h); do
        [ -f "$root/include/$header" ] || { echo "$header is missing"; return 1; }
    done
}

tools_run() { [ -n "$("$(find "$root" -name uvcsp-ps)" -h)" ]; }

check 'the tools are there and run' tools_run
check 'all public headers are there' finds_its_headers
check 'a program is built by pkg-config and the shared library' with_pkg_config pc-shared
check 'a program is built by pkg-config and the static library alone' with_static_archive
check 'a meson project finds the shared library' with_meson meson-shared
check 'a meson project finds the static library' with_meson meson-static -Dstatic=true
for flags in 'gcc -flto' 'gcc -flto -flto-partition=none' 'gcc -flto -flto-partition=one' 'clang -flto' 'clang -flto=thin'; do
    # shellcheck disable=SC2086
    if echo 'int main(void) { return 0; }' | $flags -x c -o "$dir/lto" - 2>/dev/null; then
        check "a program is built by $flags" with_lto $flags
    else
        n=$((n + 1))
        echo "ok $n - a program is built by $flags # SKIP not installed"
    fi
done
check 'a meson project with b_lto finds the shared library' with_meson meson-lto -Db_lto=true
check 'a meson project with b_lto finds the static library' with_meson meson-lto-static -Db_lto=true -Dstatic=true
check 'a meson project has it as a subproject' as_subproject subproject
check 'a meson project with b_lto has it as a subproject' as_subproject subproject-lto -Db_lto=true
echo "1..$n"
