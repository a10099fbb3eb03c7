/*
 * The one table of prctl(2) options, in the kernel's order. From a row come the number in _prctl, the function with its
 * signature and docstring, what it passes to the kernel and what it gives back. A new option is a new row here; only what
 * no row can say has a function of its own in _prctlmodule.c.
 *
 *   OPTION(NAME, number, FUNCTION)  an option with its function
 *   FAMILY(NAME, number)            an option whose arg2 selects an operation; _prctl.prctl() passes it on as it is
 *   OPERATION(NAME, FUNCTION)       one operation of a family
 *   FORMER(NAME, number)            a number that python-prctl made up
 *
 * The columns of a FUNCTION:
 *   name, signature      its name and the __text_signature__
 *   NONE|ONE|SEVERAL     how many arguments it has
 *   run                  by_table, or a function of _prctlmodule.c
 *   TAKES(...)           arg2 to arg5 of prctl(2) in order, or TAKES_NOTHING; those not named are 0
 *   result               what the function gives
 *   privilege            what EPERM means if the caller lacks it: NEEDS(capability, text) or NO_PRIVILEGE
 *   THREAD|PROCESS|ANY   whose attribute it is
 *   since                the first Linux with it, and the architectures, where not all have it
 *   text                 the docstring, without the closing line that the other columns give
 */

/* Termination of the parent */
OPTION(SET_PDEATHSIG, 1, set_pdeathsig, "(signal, /)", ONE, by_table, TAKES(SIGNAL(signal)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.1.57",
       "Ask for a signal when the parent ends.\n\n"
       "*signal* is an int from 1 to SIGRTMAX; 0 or None takes the request back.\n"
       "The parent is the *thread* that created this process: the signal comes when that\n"
       "thread ends, even if its process lives on, and only while the thread that asked\n"
       "is alive. If the parent has gone already, nothing comes: compare os.getppid()\n"
       "afterwards. The request is cleared by fork, by any change of the effective or\n"
       "file system ids, and by exec of a program that is set-uid or has file\n"
       "capabilities: ask after changing ids.\n\n"
       "ValueError for a number that is no signal.")
OPTION(GET_PDEATHSIG, 2, get_pdeathsig, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.3.15",
       "Return the signal asked for by set_pdeathsig(), an int; 0 is none.")

/* Core dumps and tracing */
OPTION(GET_DUMPABLE, 3, get_dumpable, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, PROCESS, "2.3.20",
       "Return whether the process may dump core and be traced by its own user.\n\n"
       "The kernel's third state, dumpable for root only, which it sets itself after a\n"
       "change of ids or a set-uid exec (see fs.suid_dumpable), is True as well:\n"
       "setting what was got loosens it.")
OPTION(SET_DUMPABLE, 4, set_dumpable, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, PROCESS, "2.3.20",
       "Let the process dump core and be traced by its own user, or not.\n\n"
       "*flag* is taken by its truth. Where it is false, the files of /proc/PID belong\n"
       "to root. Any change of ids and exec set it anew.")

/* Unaligned access */
OPTION(GET_UNALIGN, 5, get_unalign, "()", NONE, by_table, TAKES(OUT), WRITES_UNSIGNED,
       NO_PRIVILEGE, THREAD, "2.3.48, on ia64, parisc, powerpc, alpha, sh; on riscv since 6.7",
       "Return how unaligned access is treated, an int of UNALIGN_* bits.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_UNALIGN, 6, set_unalign, "(mode, /)", ONE, by_table,
       TAKES(BITS(mode, 7, "UNALIGN_NOPRINT, UNALIGN_SIGBUS and, on alpha, 4")), NOTHING,
       NO_PRIVILEGE, THREAD, "2.3.48, on ia64, parisc, powerpc, alpha, sh; on riscv since 6.7",
       "Choose how unaligned access is treated.\n\n"
       "*mode* is UNALIGN_NOPRINT (mend it silently) or UNALIGN_SIGBUS (send SIGBUS).\n"
       "ValueError for other bits; OSError (EINVAL) on other architectures.")

/* Capabilities across a change of user */
OPTION(GET_KEEPCAPS, 7, get_keepcaps, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "2.2.18",
       "Return whether the permitted capabilities outlive a change from uid 0.")
OPTION(SET_KEEPCAPS, 8, set_keepcaps, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.2.18",
       "Let the permitted capabilities outlive a change from uid 0 to others, or not.\n\n"
       "*flag* is taken by its truth. The effective set is emptied all the same. exec\n"
       "clears the flag. PermissionError when the securebit keep_caps_locked is set.\n"
       "Needs no privilege; it is the same bit as securebits.keep_caps.")

/* Floating point */
OPTION(GET_FPEMU, 9, get_fpemu, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.4.18, on ia64",
       "Return how floating-point operations are emulated, an int of FPEMU_*.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_FPEMU, 10, set_fpemu, "(mode, /)", ONE, by_table, TAKES(ONE_OF2(mode, FPEMU_NOPRINT, FPEMU_SIGFPE)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.4.18, on ia64",
       "Choose how floating-point operations are emulated.\n\n"
       "*mode* is FPEMU_NOPRINT (emulate silently) or FPEMU_SIGFPE (send SIGFPE).\n"
       "ValueError for another mode; OSError (EINVAL) on other architectures.")
OPTION(GET_FPEXC, 11, get_fpexc, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.4.21, on powerpc",
       "Return the floating-point exception modes, an int of FP_EXC_* bits.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_FPEXC, 12, set_fpexc, "(mode, /)", ONE, by_table,
       TAKES(BITS(mode, PR_FP_EXC_SW_ENABLE | PR_FP_EXC_DIV | PR_FP_EXC_OVF | PR_FP_EXC_UND | PR_FP_EXC_RES |
                            PR_FP_EXC_INV | PR_FP_EXC_PRECISE,
                  "FP_EXC_*")), NOTHING,
       NO_PRIVILEGE, THREAD, "2.4.21, on powerpc",
       "Choose which floating-point exceptions are raised, and how.\n\n"
       "*mode* is one of FP_EXC_DISABLED, FP_EXC_NONRECOV, FP_EXC_ASYNC and\n"
       "FP_EXC_PRECISE, or FP_EXC_SW_ENABLE together with FP_EXC_DIV, FP_EXC_OVF,\n"
       "FP_EXC_UND, FP_EXC_RES and FP_EXC_INV. ValueError for other bits; OSError\n"
       "(EINVAL) on other architectures.")

/* Process timing */
OPTION(GET_TIMING, 13, get_timing, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, PROCESS, "2.6.0",
       "Return how processor time is measured, an int: TIMING_STATISTICAL.")
OPTION(SET_TIMING, 14, set_timing, "(method, /)", ONE, by_table,
       TAKES(ONE_OF2(method, TIMING_STATISTICAL, TIMING_TIMESTAMP)), NOTHING,
       NO_PRIVILEGE, PROCESS, "2.6.0",
       "Choose how processor time is measured.\n\n"
       "*method* is TIMING_STATISTICAL; TIMING_TIMESTAMP is defined, but every kernel\n"
       "refuses it (OSError, EINVAL). ValueError for another method.")

/* Name */
OPTION(SET_NAME, 15, set_name, "(name, /)", ONE, set_name, TAKES(OBJECT(name)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.9",
       "Set the name of the calling thread: ps, top -H, gdb and /proc/PID/comm show it.\n\n"
       "*name* is a str (os.fsencode) or bytes. The kernel keeps 15 bytes: a longer name\n"
       "is cut, a str between characters. The main thread's name is the process's.\n"
       "TypeError for other types, ValueError for an embedded NUL.")
OPTION(GET_NAME, 16, get_name, "()", NONE, by_table, TAKES(OUT), WRITES_NAME,
       NO_PRIVILEGE, THREAD, "2.6.11",
       "Return the name of the calling thread as a str (os.fsdecode), at most 15 bytes.")

/* Endianness */
OPTION(GET_ENDIAN, 19, get_endian, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.6.18, on powerpc",
       "Return the endianness of the thread, an int of ENDIAN_*.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_ENDIAN, 20, set_endian, "(endianness, /)", ONE, by_table,
       TAKES(ONE_OF3(endianness, ENDIAN_BIG, ENDIAN_LITTLE, ENDIAN_PPC_LITTLE)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.18, on powerpc",
       "Switch the endianness of the thread, which runs on with the other one at once.\n\n"
       "*endianness* is ENDIAN_BIG, ENDIAN_LITTLE or ENDIAN_PPC_LITTLE (PowerPC pseudo\n"
       "little endian). ValueError for another one; OSError (EINVAL) on other\n"
       "architectures.")

/* Secure computing */
OPTION(GET_SECCOMP, 21, get_seccomp, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "2.6.23",
       "Return the seccomp mode, an int: SECCOMP_MODE_DISABLED or SECCOMP_MODE_FILTER.\n\n"
       "In strict mode the kernel kills the caller instead, and in filter mode too if the\n"
       "filter says so. The field Seccomp of /proc/PID/status tells without that risk.")
OPTION(SET_SECCOMP, 22, set_seccomp, "(mode, program=None)", SEVERAL, set_seccomp,
       TAKES(OBJECT(mode), OPTIONAL_OBJECT(program)), NOTHING,
       NEEDS(CAP_SYS_ADMIN, "installing a filter needs no_new_privs or CAP_SYS_ADMIN"), THREAD, "2.6.23; filters since 3.5",
       "Restrict for good which system calls the thread may make.\n\n"
       "*mode* is True or SECCOMP_MODE_STRICT: from then on only read(), write(),\n"
       "_exit() and sigreturn() are allowed, anything else kills the thread with\n"
       "SIGKILL. Or it is SECCOMP_MODE_FILTER with a BPF *program*, a bytes-like of 1 to\n"
       "4096 instructions of 8 bytes each (struct sock_filter), which is asked about\n"
       "every call and answers SECCOMP_RET_*.\n\n"
       "A filter needs set_no_new_privs() before, or CAP_SYS_ADMIN: PermissionError\n"
       "(EACCES) otherwise. ValueError for another mode, a program in strict mode, none\n"
       "in filter mode, or one of a wrong size; OSError EINVAL for instructions that the\n"
       "kernel does not take, ENOMEM when too many filters are installed.\n"
       "Threads and processes made afterwards inherit it; see also seccomp(2).")

/* The bounding set */
OPTION(CAPBSET_READ, 23, capbset_read, "(capability, /)", ONE, capbset_read, TAKES(CAPABILITY_NUMBER(capability)), RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "2.6.25",
       "Return whether a capability is in the bounding set.\n\n"
       "*capability* is a CAP_* number. One that the running kernel does not have is\n"
       "False; ValueError outside 0 to 63.")
OPTION(CAPBSET_DROP, 24, capbset_drop, "(capability, /)", ONE, by_table, TAKES(CAPABILITY_NUMBER(capability)), NOTHING,
       NEEDS(CAP_SETPCAP, "dropping from the bounding set needs CAP_SETPCAP"), THREAD, "2.6.25",
       "Drop a capability from the bounding set, for good.\n\n"
       "*capability* is a CAP_* number. Needs CAP_SETPCAP. What the thread has in its\n"
       "other sets stays. ValueError outside 0 to 63, OSError (EINVAL) for one that the\n"
       "running kernel does not have.")

/* The timestamp counter */
OPTION(GET_TSC, 25, get_tsc, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.6.26, on x86; on arm64 since 6.12",
       "Return whether the timestamp counter may be read: TSC_ENABLE or TSC_SIGSEGV.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_TSC, 26, set_tsc, "(mode, /)", ONE, by_table, TAKES(ONE_OF2(mode, TSC_ENABLE, TSC_SIGSEGV)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.26, on x86; on arm64 since 6.12",
       "Let the thread read the timestamp counter, or have SIGSEGV for it.\n\n"
       "*mode* is TSC_ENABLE or TSC_SIGSEGV. With the latter, time.time() and whatever\n"
       "else asks the vDSO for the time ends in SIGSEGV as well. ValueError for another\n"
       "mode; OSError (EINVAL) on other architectures.")

/* Securebits */
OPTION(GET_SECUREBITS, 27, get_securebits, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "2.6.26",
       "Return the securebits, an int of SECBIT_* bits.")
OPTION(SET_SECUREBITS, 28, set_securebits, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NEEDS(CAP_SETPCAP, "changing securebits needs CAP_SETPCAP"), THREAD, "2.6.26",
       "Set the securebits, all of them.\n\n"
       "*bits* is an int of SECBIT_* bits. Needs CAP_SETPCAP, except for the exec_* bits\n"
       "and their locks (Linux 6.14). PermissionError also for a bit that the kernel does\n"
       "not know and for one that is locked.")

/* Timer slack */
OPTION(SET_TIMERSLACK, 29, set_timerslack, "(nanoseconds, /)", ONE, by_table, TAKES(WORD(nanoseconds)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.28",
       "Set by how many nanoseconds the kernel may delay the thread's timers.\n\n"
       "*nanoseconds* is an int that fits an unsigned long; 0 restores the thread's\n"
       "default. Silently without effect under a real-time policy.")
OPTION(GET_TIMERSLACK, 30, get_timerslack, "()", NONE, by_table, TAKES_NOTHING, RETURNS_UNSIGNED,
       NO_PRIVILEGE, THREAD, "2.6.28",
       "Return the timer slack of the thread in nanoseconds; 0 under a real-time policy.")

/* Performance counters */
OPTION(TASK_PERF_EVENTS_DISABLE, 31, task_perf_events_disable, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.31",
       "Stop the performance counters that the calling thread has opened.")
OPTION(TASK_PERF_EVENTS_ENABLE, 32, task_perf_events_enable, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.31",
       "Start the performance counters that the calling thread has opened.")

/* Machine checks. A policy that the kernel refuses would reset the old one all the same: checked before. */
FAMILY(MCE_KILL, 33)
FORMER(SET_MCE_KILL, 33)
FORMER(GET_MCE_KILL, 34)
OPERATION(MCE_KILL, set_mce_kill, "(policy, /)", ONE, by_table,
       TAKES(FIXED(PR_MCE_KILL_SET), ONE_OF3(policy, MCE_KILL_EARLY, MCE_KILL_LATE, MCE_KILL_DEFAULT)), NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.32",
       "Choose when memory that the hardware has lost ends the thread with SIGBUS.\n\n"
       "*policy* is MCE_KILL_EARLY (as soon as it is found), MCE_KILL_LATE (when it is\n"
       "touched) or MCE_KILL_DEFAULT (vm.memory_failure_early_kill). ValueError for\n"
       "another one.")
OPTION(MCE_KILL_GET, 34, get_mce_kill, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "2.6.32",
       "Return the policy of set_mce_kill(), an int of MCE_KILL_*.")

/* Memory map */
FAMILY(SET_MM, 35)

/* Orphans */
OPTION(SET_CHILD_SUBREAPER, 36, set_child_subreaper, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, PROCESS, "3.4",
       "Let orphaned descendants become children of this process instead of init's.\n\n"
       "*flag* is taken by its truth. The process has to wait for them. Children do not\n"
       "inherit it; exec keeps it.")
OPTION(GET_CHILD_SUBREAPER, 37, get_child_subreaper, "()", NONE, by_table, TAKES(OUT), WRITES_BOOL,
       NO_PRIVILEGE, PROCESS, "3.4",
       "Return whether orphaned descendants become children of this process.")

/* New privileges */
OPTION(SET_NO_NEW_PRIVS, 38, set_no_new_privs, "(flag=True, /)", SEVERAL, by_table, TAKES(TRUE_FLAG(flag)), NOTHING,
       NO_PRIVILEGE, THREAD, "3.5",
       "Give up for good that exec can give privileges: by set-uid, set-gid or file capabilities.\n\n"
       "It cannot be unset: a false *flag* is ValueError. Inherited by children and kept\n"
       "by exec.")
OPTION(GET_NO_NEW_PRIVS, 39, get_no_new_privs, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "3.5",
       "Return whether exec can no longer give privileges to the thread.")

FAMILY(GET_TID_ADDRESS, 40)
FAMILY(SET_THP_DISABLE, 41)
FAMILY(GET_THP_DISABLE, 42)
FAMILY(MPX_ENABLE_MANAGEMENT, 43)
FAMILY(MPX_DISABLE_MANAGEMENT, 44)
FAMILY(SET_FP_MODE, 45)
FAMILY(GET_FP_MODE, 46)
FAMILY(CAP_AMBIENT, 47)
FAMILY(SVE_SET_VL, 50)
FAMILY(SVE_GET_VL, 51)
FAMILY(GET_SPECULATION_CTRL, 52)
FAMILY(SET_SPECULATION_CTRL, 53)
FAMILY(PAC_RESET_KEYS, 54)
FAMILY(SET_TAGGED_ADDR_CTRL, 55)
FAMILY(GET_TAGGED_ADDR_CTRL, 56)
FAMILY(SET_IO_FLUSHER, 57)
FAMILY(GET_IO_FLUSHER, 58)
FAMILY(SET_SYSCALL_USER_DISPATCH, 59)
FAMILY(PAC_SET_ENABLED_KEYS, 60)
FAMILY(PAC_GET_ENABLED_KEYS, 61)
FAMILY(SCHED_CORE, 62)
FAMILY(SME_SET_VL, 63)
FAMILY(SME_GET_VL, 64)
FAMILY(SET_MDWE, 65)
FAMILY(GET_MDWE, 66)
FAMILY(SET_MEMORY_MERGE, 67)
FAMILY(GET_MEMORY_MERGE, 68)
FAMILY(RISCV_V_SET_CONTROL, 69)
FAMILY(RISCV_V_GET_CONTROL, 70)
FAMILY(RISCV_SET_ICACHE_FLUSH_CTX, 71)
FAMILY(PPC_GET_DEXCR, 72)
FAMILY(PPC_SET_DEXCR, 73)
FAMILY(GET_SHADOW_STACK_STATUS, 74)
FAMILY(SET_SHADOW_STACK_STATUS, 75)
FAMILY(LOCK_SHADOW_STACK_STATUS, 76)
FAMILY(TIMER_CREATE_RESTORE_IDS, 77)
FAMILY(FUTEX_HASH, 78)
FAMILY(RSEQ_SLICE_EXTENSION, 79)
FAMILY(GET_CFI, 80)
FAMILY(SET_CFI, 81)

/* Tracing under Yama. The kernel has no getter; -1 is python-prctl's number for one. */
OPTION(SET_PTRACER, 0x59616d61, set_ptracer, "(pid, /)", ONE, set_ptracer, TAKES(OBJECT(pid)), NOTHING,
       NO_PRIVILEGE, PROCESS, "3.4, with Yama",
       "Let one more process, and its descendants, trace this one.\n\n"
       "*pid* is an int; 0 takes the permission back (the ancestors may trace all the\n"
       "same in scope 1), SET_PTRACER_ANY or -1 lets every process trace. ValueError for\n"
       "other negative numbers, OverflowError beyond 32 bits, OSError (EINVAL) when there\n"
       "is no such process or the kernel has no Yama.")
OPTION(GET_PTRACER, -1, get_ptracer, "()", NONE, get_ptracer, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, PROCESS, "3.4, with Yama",
       "Return the pid that set_ptracer() was last given in this process.\n\n"
       "The kernel does not tell: the module remembers, and until then answers the pid of\n"
       "the parent. A forked child starts anew.")
FAMILY(SET_VMA, 0x53564d41)
FAMILY(GET_AUXV, 0x41555856)

#undef OPTION
#undef FAMILY
#undef OPERATION
#undef FORMER
