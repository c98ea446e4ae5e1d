/* A stand-in for libnvidia-ml.so.1: the C interface of NVML for one card, for machines that have none. */
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

static char card;
static int put(char *out, unsigned int size, const char *text) { strncpy(out, text, size); return SUCCESS; }

int nvmlInit_v2(void) { return getenv("FAKE_NO_DRIVER") ? DRIVER_NOT_LOADED : SUCCESS; }
int nvmlInitWithFlags(unsigned int flags) { return nvmlInit_v2(); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Other"; }
int nvmlSystemGetDriverVersion(char *out, unsigned int size) { return put(out, size, "570.86.10"); }
int nvmlDeviceGetCount_v2(unsigned int *out) { *out = getenv("FAKE_NO_CARD") ? 0 : 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out) { *out = &card; return SUCCESS; }
int nvmlDeviceGetUUID(void *device, char *out, unsigned int size) { return put(out, size, "GPU-1234"); }
int nvmlDeviceGetName(void *device, char *out, unsigned int size) { return put(out, size, "Test H100"); }
int nvmlDeviceGetMemoryInfo(void *device, memory_t *out) { out->total = 80ULL << 30; return SUCCESS; }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *out) { *out = 700000; return SUCCESS; }
int nvmlDeviceGetPowerUsage(void *device, unsigned int *out) { *out = 91500; return SUCCESS; }
int nvmlDeviceGetClockInfo(void *device, int kind, unsigned int *out) { *out = kind == 2 ? 2619 : 1980; return SUCCESS; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *out) { *out = 41; return SUCCESS; }
int nvmlDeviceGetUtilizationRates(void *device, utilization_t *out) { return NOT_SUPPORTED; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process_t *out) {
    if (out == NULL || *count < 1) { *count = 1; return INSUFFICIENT_SIZE; }
    out[0].pid = 4321; out[0].used = 512ULL << 20; out[0].gi = out[0].ci = 0xFFFFFFFF;
    *count = 1;
    return SUCCESS;
}
