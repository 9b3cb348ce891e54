// SPDX-License-Identifier: Apache-2.0
// attack: loads a program into the kernel, and makes a map (bpf)
// topic: kernel
// stops: the kernel's own rule, where it has one; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <linux/bpf.h>

int main(void) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    if (syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map) >= 0) escaped("a map is in the kernel");
    struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};
    union bpf_attr program = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (uintptr_t)code, .insn_cnt = 2, .license = (uintptr_t) "GPL"};
    if (syscall(SYS_bpf, BPF_PROG_LOAD, &program, sizeof program) >= 0) escaped("a program is in the kernel");
    held("bpf: %s", strerror(errno));
}
