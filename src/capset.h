/* capset(2) by masks of 64 bits: for the extension and for the launcher, which has no libcap. */
#ifndef CAPSET_H
#define CAPSET_H

#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Effective, permitted and inheritable of the calling thread. Returns 0, or -1 with errno. */
static int
capset_by_masks(const uint64_t sets[3])
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(sets[0] >> 32 * half);
        data[half].permitted = (uint32_t)(sets[1] >> 32 * half);
        data[half].inheritable = (uint32_t)(sets[2] >> 32 * half);
    }
    return (int)syscall(SYS_capset, &header, data);
}

#endif
