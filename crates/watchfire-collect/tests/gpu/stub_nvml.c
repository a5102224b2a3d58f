/* A stand-in for the NVIDIA Management Library with one or two made-up GPUs, for tests. It is steered by a file named
   in STUB_FILE at compile time: absent = all is well; "fail" = the driver is gone; "hot 91" and the like = values. */
#include <stdio.h>
#include <string.h>

#define OK 0
#define NOT_SUPPORTED 3
#define DRIVER_NOT_LOADED 9
#define ARGUMENT_VERSION_MISMATCH 25
#define UNKNOWN 999

static unsigned used_mib = 8192, celsius = 62;

static int state(void) {
    char word[16] = "";
    FILE *f = fopen(STUB_FILE, "r");
    if (!f) return OK;
    int n = fscanf(f, "%15s %u %u", word, &used_mib, &celsius);
    fclose(f);
    return n >= 1 && !strcmp(word, "fail") ? UNKNOWN : OK;
}

int nvmlInit_v2(void) { return state() ? DRIVER_NOT_LOADED : OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code ? "stub error" : "success"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return state(); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)(unsigned long)(index + 1); return OK; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    snprintf(name, length, device == (void *)1 ? "NVIDIA RTX A5500" : "NVIDIA T4");
    return OK;
}
struct utilization { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(void *device, struct utilization *u) { u->gpu = device == (void *)1 ? 45 : 5; u->memory = 1; return OK; }
#ifdef OLD_DRIVER
struct memory { unsigned long long total, free, used; };
int nvmlDeviceGetMemoryInfo(void *device, struct memory *m) {
    m->total = 24576ull << 20; m->used = (unsigned long long)used_mib << 20; m->free = m->total - m->used;
    return OK;
}
#else
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory_v2 *m) {
    if (m->version != (sizeof *m | 2 << 24)) return ARGUMENT_VERSION_MISMATCH;
    m->total = 24576ull << 20; m->reserved = 0; m->used = ((unsigned long long)used_mib << 20) + 12345; m->free = m->total - m->used;
    return OK;
}
#endif
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *out) { *out = celsius; return OK; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    if (device != (void *)1) return NOT_SUPPORTED;
    *milliwatts = 125500; return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts) { *milliwatts = 230000; return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) { *reasons = 4; return OK; }
int nvmlDeviceGetFanSpeed_v2(void *device, unsigned fan, unsigned *percent) { *percent = 30; return OK; }
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) { *mhz = type == 1 ? 1695 : 8001; return OK; }
int nvmlDeviceGetPerformanceState(void *device, int *state) { *state = 2; return OK; }
int nvmlDeviceGetEncoderUtilization(void *device, unsigned *percent, unsigned *period) { *percent = 7; *period = 1; return OK; }
int nvmlDeviceGetDecoderUtilization(void *device, unsigned *percent, unsigned *period) { return NOT_SUPPORTED; }
int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *mhz) { *mhz = 2100; return OK; }
int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *errors) { *errors = kind == 0 ? 3 : 1; return counter == 1 ? OK : UNKNOWN; }
int nvmlDeviceGetPcieThroughput(void *device, int counter, unsigned *kilobytes) { *kilobytes = counter == 0 ? 100 : 200; return OK; }
int nvmlDeviceGetPcieReplayCounter(void *device, unsigned *count) { *count = 2; return OK; }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) { *millijoules = 5000; return OK; }
struct process { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; };
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *out) {
    unsigned room = *count; *count = device == (void *)1 ? 1 : 300;
    if (room < *count) return 7;
    for (unsigned at = 0; at < *count; at++) out[at] = out[0], out[at].pid = at + 1, out[at].bytes = 1ull << 30;
    out[0].pid = 1; out[0].bytes = 1ull << 30; out[0].gpu_instance = out[0].compute_instance = 0xffffffff;
    return OK;
}
