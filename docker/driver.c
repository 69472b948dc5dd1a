// A stand-in for the NVIDIA driver: one GPU that can be listed, and nothing more. For docker/test_gpu_image.sh.
//   gcc -shared -fPIC -o libcuda.so.1 driver.c && cp libcuda.so.1 libnvidia-ml.so.1
// TensorFlow looks for the other libraries of CUDA, the real ones, before it lists the GPU that a driver shows.
#include <stddef.h>
#include <stdio.h>

typedef int Result;
static const size_t MEMORY = (size_t)80 << 30;
static void *const CONTEXT = (void *)1;

Result cuInit(unsigned flags) { return 0; }
Result cuDriverGetVersion(int *version) { *version = 13000; return 0; }
Result cuDeviceGetCount(int *count) { *count = 1; return 0; }
Result cuDeviceGet(int *device, int index) { *device = index; return 0; }
Result cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "stand-in"); return 0; }
Result cuDeviceGetPCIBusId(char *id, int size, int device) { snprintf(id, size, "0000:01:00.0"); return 0; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = MEMORY; return 0; }
Result cuMemGetInfo_v2(size_t *free, size_t *total) { *free = *total = MEMORY; return 0; }
Result cuDevicePrimaryCtxRetain(void **context, int device) { *context = CONTEXT; return 0; }
Result cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }
Result cuCtxGetCurrent(void **context) { *context = CONTEXT; return 0; }
Result cuCtxSetCurrent(void *context) { return 0; }
Result cuCtxGetDevice(int *device) { *device = 0; return 0; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1024;  // compute capability 9.0
  return 0;
}

Result nvmlInit_v2(void) { return 0; }
Result nvmlShutdown(void) { return 0; }
Result nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **device) { *device = CONTEXT; return 0; }
Result nvmlDeviceGetCurrPcieLinkGeneration(void *device, unsigned *value) { *value = 5; return 0; }
Result nvmlDeviceGetCurrPcieLinkWidth(void *device, unsigned *value) { *value = 16; return 0; }
