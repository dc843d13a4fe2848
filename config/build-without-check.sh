#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# build-without-check.sh: build variants/without-check below the current build folder, as
# where the Check library is not installed, with warnings as errors. All but the tests
# must be there, and make check must say what it lacks.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
name=without-check
mkdir -p variants/$name
cd variants/$name
echo "build-without-check: $name"
real=${PKG_CONFIG:-$(command -v pkg-config)}
cat > pkg-config << EOF
#!/bin/sh
for word in "\$@"; do case \$word in check | 'check '*) exit 1 ;; esac; done
exec $real "\$@"
EOF
chmod +x pkg-config
PKG_CONFIG=$PWD/pkg-config "$top/configure" --enable-werror > configure.out 2>&1 || { tail -n 20 configure.out; exit 1; }
grep -q "^HAVE_CHECK_TRUE='#'" config.log || { echo "$name: FAIL: it has found the Check library"; exit 1; }
make -j"$(nproc)" > make.out 2>&1 || { tail -n 40 make.out; echo "$name: FAIL: it does not build"; exit 1; }
./opalmem-info > /dev/null || { echo "$name: FAIL: opalmem-info does not run"; exit 1; }
if make check > check.out 2>&1 || ! grep -q 'needs the Check library' check.out; then
    tail -n 20 check.out
    echo "$name: FAIL: make check does not say that the Check library is missing"
    exit 1
fi
echo "$name: 1 passed, 0 failed, 0 skipped"
