#!/bin/sh
# sh build.sh SITE_PACKAGES FOLDER: makes the stand-ins in FOLDER; SITE_PACKAGES holds tensorflow.
# What TensorFlow can ask for by name and no source here defines becomes a stub that returns 0 and writes nothing.
set -e
mkdir -p "$2"
lib=$(cd "$2" && pwd)
cd "$(dirname "$0")"
strings -a "$1"/tensorflow/libtensorflow_framework.so.2 "$1"/tensorflow/libtensorflow_cc.so.2 |
    grep -E '^(__)?(cu|nvml)[A-Za-z0-9_]+$' | sort -u > "$lib/names"
site=$1
make_lib() {  # source, file name, pattern of its functions, further linker arguments
    source=$1 file=$2 pattern=$3
    shift 3
    cc -O1 -w -fPIC -I"$site"/tensorflow/include/external/cuda_cudart/include -I"$site"/nvidia/cuda_nvcc/include -c "$source.c" -o "$lib/$source.o"
    nm "$lib/$source.o" | awk '$2 == "T" {print $3}' | sort -u > "$lib/$source.written"
    grep -E "$pattern" "$lib/names" | grep -v -E '_pt[sd][sz]$' | comm -23 - "$lib/$source.written" | awk '
        BEGIN {print "int standin_stub(const char*);"}
        {printf "int %s(void) { return standin_stub(__func__); }\n", $1}' > "$lib/$source.stubs.c"
    cc -O1 -fPIC -shared -Wl,-soname,"$file" "$lib/$source.o" "$lib/$source.stubs.c" "$@" -o "$lib/$file"
}
make_lib cuda libcuda.so.1 '^cu(Array|Checkpoint|Coredump|Ctx|Destroy|Device|Driver|Event|External|Flush|Func|Get|Graph|Green|Import|Init|Ipc|Kernel|Launch|Library|Link|Mem|Mipmapped|Module|Multicast|Occupancy|Param|Pointer|Profiler|Signal|Stream|Surf|Tensor|TexObject|TexRef|Thread|User|Wait)' -ldl
make_lib nvml libnvidia-ml.so.1 '^nvml[A-Z]' "$lib/libcuda.so.1"
make_lib cudart libcudart.so.12 '^(__)?cuda[A-Z]' "$lib/libcuda.so.1"
make_lib cudnn libcudnn.so.9 '^cudnn[A-Z]' "$lib/libcuda.so.1"
make_lib cublas libcublas.so.12 '^cublas([A-KM-Z]|L[^t])' "$lib/libcuda.so.1"
make_lib cublaslt libcublasLt.so.12 '^cublasLt' "$lib/libcuda.so.1"
make_lib cufft libcufft.so.11 '^cufft' "$lib/libcuda.so.1"
make_lib cusolver libcusolver.so.11 '^cusolver' "$lib/libcuda.so.1"
make_lib cusparse libcusparse.so.12 '^cusparse' "$lib/libcuda.so.1"
