#!/bin/sh
# Takes out of the environment $1 what no running program reads: C++ headers, static libraries, the packages' own tests,
# symbol tables. Then compiles what is left: bytecode is 10 s of each start, and a read-only container cannot keep it.
set -eu
cd "$1"/lib/python3.*/site-packages
rm -rf tensorflow/include tensorflow/xla_aot_runtime_src pyarrow/include clang tests
rm -rf nvidia/*/include nvidia/cusolver/lib/libcusolverMg.so.* nvidia/cuda_nvrtc/lib/*.alt.so.* nvidia/cuda_nvcc/nvvm/bin
find . -type d \( -name tests -o -name testdata \) -prune -exec rm -rf {} +
find . -type f \( -name '*.a' -o -name '*.h' -o -name '*.hpp' \) -delete
strip --strip-unneeded tensorflow/lib*.so.2
python3 -m compileall -qq -j 0 . || true  # some packages carry templates that are no Python
