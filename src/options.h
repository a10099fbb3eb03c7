/*
 * The one table of prctl(2) options, in the kernel's order. From a row come the number in _prctl, the function with its
 * signature and docstring, what it passes to the kernel and what it gives back. A new option is a new row here; only what
 * no row can say has a function of its own, in _prctlmodule.c or src/memory.c. Whoever includes this file defines the row
 * macros; a row that it does not define is left out.
 *
 *   OPTION(NAME, number, FUNCTION)  an option with its function
 *   FAMILY(NAME, number)            an option whose arg2 selects an operation; _prctl.prctl() passes it on as it is
 *   OPERATION(NAME, FUNCTION)       one operation of a family
 *   FORMER(NAME, number)            a number that python-prctl made up
 *
 * The columns of a FUNCTION:
 *   name, signature      its name and the __text_signature__
 *   NONE|ONE|SEVERAL     how many arguments it has
 *   run                  by_table, or a function of its own
 *   TAKES(...)           arg2 to arg5 of prctl(2) in order, or TAKES_NOTHING; those not named are 0
 *   result               what the function gives; NOTHING and RETURNS_NEW are changes, which have an audit event
 *   privilege            what EPERM means if the caller lacks it: NEEDS(capability, text), NEEDS_OR_EACCES(capability, text)
 *                        where that is the errno, or NO_PRIVILEGE
 *   EVERY_THREAD         a thread's attribute, which all_threads() changes in every thread
 *   THREAD|PROCESS|ANY   whose attribute it is, otherwise: what is only read, what means one thread, and what another thread
 *                        cannot have changed from a signal handler (vector lengths, endianness, return addresses)
 *   since                the first Linux with it, and the architectures, where not all have it
 *   text                 the docstring, without the closing line that the other columns give
 */
#ifndef OPTION
#define OPTION(name, number, ...)
#endif
#ifndef FAMILY
#define FAMILY(name, number)
#endif
#ifndef OPERATION
#define OPERATION(name, ...)
#endif
#ifndef FORMER
#define FORMER(name, number)
#endif

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
       "capabilities, before Linux 6.16 of any program where real and effective ids\n"
       "differ: ask after changing ids.\n\n"
       "ValueError for a number that is no signal.")
OPTION(GET_PDEATHSIG, 2, get_pdeathsig, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.3.15",
       "Return the signal asked for by set_pdeathsig(), an int; 0 is none.")

/* Core dumps and tracing */
OPTION(GET_DUMPABLE, 3, get_dumpable, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, PROCESS, "2.3.20",
       "Return whether the process may dump core and be traced by its own user, a bool.\n\n"
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
       NO_PRIVILEGE, EVERY_THREAD, "2.3.48, on ia64, parisc, powerpc, alpha, sh; on riscv since 6.7",
       "Choose how unaligned access is treated.\n\n"
       "*mode* is UNALIGN_NOPRINT (mend it silently) or UNALIGN_SIGBUS (send SIGBUS).\n"
       "ValueError for other bits; OSError (EINVAL) on other architectures.")

/* Capabilities across a change of user */
OPTION(GET_KEEPCAPS, 7, get_keepcaps, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "2.2.18",
       "Return whether the permitted capabilities outlive a change from uid 0, a bool.")
OPTION(SET_KEEPCAPS, 8, set_keepcaps, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "2.2.18",
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
       NO_PRIVILEGE, EVERY_THREAD, "2.4.18, on ia64",
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
       NO_PRIVILEGE, EVERY_THREAD, "2.4.21, on powerpc",
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
       "filter says so. The field Seccomp of /proc/PID/status tells without that risk.\n"
       "OSError (EINVAL) without CONFIG_SECCOMP.")
OPTION(SET_SECCOMP, 22, set_seccomp, "(mode, program=None)", SEVERAL, set_seccomp,
       TAKES(OBJECT(mode), OPTIONAL_OBJECT(program)), NOTHING,
       NEEDS_OR_EACCES(CAP_SYS_ADMIN, "installing a filter needs no_new_privs or CAP_SYS_ADMIN"), EVERY_THREAD, "2.6.23; filters since 3.5",
       "Restrict for good which system calls the thread may make.\n\n"
       "*mode* is True or SECCOMP_MODE_STRICT: from then on only read(), write(),\n"
       "_exit() and sigreturn() are allowed, anything else kills the thread with\n"
       "SIGKILL. Or it is SECCOMP_MODE_FILTER with a BPF *program*, a bytes-like of 1 to\n"
       "4096 instructions of 8 bytes each (struct sock_filter), which is asked about\n"
       "every call and answers SECCOMP_RET_*.\n\n"
       "A filter needs set_no_new_privs() before, or CAP_SYS_ADMIN: PermissionError\n"
       "(EACCES) otherwise. ValueError for another mode, a program in strict mode, none\n"
       "in filter mode, or one of a wrong size; OSError EINVAL for instructions that the\n"
       "kernel does not take and without CONFIG_SECCOMP_FILTER, ENOMEM when too many\n"
       "filters are installed.\n"
       "Threads and processes made afterwards inherit it; see also seccomp(2).")

/* The bounding set */
OPTION(CAPBSET_READ, 23, capbset_read, "(capability, /)", ONE, capbset_read, TAKES(CAPABILITY_NUMBER(capability)), RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "2.6.25",
       "Return whether a capability is in the bounding set, a bool.\n\n"
       "*capability* is a CAP_* number. One that the running kernel does not have is\n"
       "False; ValueError outside 0 to 63.")
OPTION(CAPBSET_DROP, 24, capbset_drop, "(capability, /)", ONE, by_table, TAKES(CAPABILITY_NUMBER(capability)), NOTHING,
       NEEDS(CAP_SETPCAP, "dropping from the bounding set needs CAP_SETPCAP"), EVERY_THREAD, "2.6.25",
       "Drop a capability from the bounding set, for good.\n\n"
       "*capability* is a CAP_* number. What the thread has in its other sets stays. Needs\n"
       "CAP_SETPCAP: PermissionError. ValueError outside 0 to 63, OSError (EINVAL) for one\n"
       "that the running kernel does not have.")

/* The timestamp counter */
OPTION(GET_TSC, 25, get_tsc, "()", NONE, by_table, TAKES(OUT), WRITES_INT,
       NO_PRIVILEGE, THREAD, "2.6.26, on x86; on arm64 since 6.12",
       "Return whether the timestamp counter may be read, an int: TSC_ENABLE or TSC_SIGSEGV.\n\n"
       "OSError (EINVAL) on other architectures.")
OPTION(SET_TSC, 26, set_tsc, "(mode, /)", ONE, by_table, TAKES(ONE_OF2(mode, TSC_ENABLE, TSC_SIGSEGV)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "2.6.26, on x86; on arm64 since 6.12",
       "Let the thread read the timestamp counter, or have SIGSEGV for it.\n\n"
       "*mode* is TSC_ENABLE or TSC_SIGSEGV. With the latter, time.time() and whatever\n"
       "else asks the vDSO for the time ends in SIGSEGV as well. ValueError for another\n"
       "mode; OSError (EINVAL) on other architectures.")

/* Securebits */
OPTION(GET_SECUREBITS, 27, get_securebits, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "2.6.26",
       "Return the securebits, an int of SECBIT_* bits.")
OPTION(SET_SECUREBITS, 28, set_securebits, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NEEDS(CAP_SETPCAP, "changing securebits needs CAP_SETPCAP"), EVERY_THREAD, "2.6.26",
       "Set the securebits, all of them.\n\n"
       "*bits* is an int of SECBIT_* bits. Needs CAP_SETPCAP, except for the exec_* bits\n"
       "and their locks (Linux 6.14): PermissionError. So it is for a bit that the kernel\n"
       "does not know and for one that is locked.")

/* Timer slack */
OPTION(SET_TIMERSLACK, 29, set_timerslack, "(nanoseconds, /)", ONE, by_table, TAKES(WORD(nanoseconds)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "2.6.28",
       "Set by how many nanoseconds the kernel may delay the thread's timers.\n\n"
       "*nanoseconds* is an int that fits an unsigned long (OverflowError otherwise); 0\n"
       "restores the thread's default. Under a real-time policy it has no effect, and most\n"
       "kernels forget it at once (Linux 5.10 keeps it for later).")
OPTION(GET_TIMERSLACK, 30, get_timerslack, "()", NONE, by_table, TAKES_NOTHING, RETURNS_UNSIGNED,
       NO_PRIVILEGE, THREAD, "2.6.28",
       "Return the timer slack of the thread, an int of nanoseconds.\n\n"
       "0 under a real-time policy (Linux 5.10: what has been set).")

/* Performance counters */
OPTION(TASK_PERF_EVENTS_DISABLE, 31, task_perf_events_disable, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.31",
       "Stop the performance counters that the calling thread has opened.\n\n"
       "OSError (EINVAL) without CONFIG_PERF_EVENTS.")
OPTION(TASK_PERF_EVENTS_ENABLE, 32, task_perf_events_enable, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, THREAD, "2.6.31",
       "Start the performance counters that the calling thread has opened.\n\n"
       "OSError (EINVAL) without CONFIG_PERF_EVENTS.")

/* Machine checks. A policy that the kernel refuses would reset the old one all the same: checked before. */
FAMILY(MCE_KILL, 33)
FORMER(SET_MCE_KILL, 33)
FORMER(GET_MCE_KILL, 34)
OPERATION(MCE_KILL, set_mce_kill, "(policy, /)", ONE, by_table,
       TAKES(FIXED(PR_MCE_KILL_SET), ONE_OF3(policy, MCE_KILL_EARLY, MCE_KILL_LATE, MCE_KILL_DEFAULT)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "2.6.32",
       "Choose when memory that the hardware has lost ends the thread with SIGBUS.\n\n"
       "*policy* is MCE_KILL_EARLY (as soon as it is found), MCE_KILL_LATE (when it is\n"
       "touched) or MCE_KILL_DEFAULT (vm.memory_failure_early_kill). ValueError for\n"
       "another one.")
OPTION(MCE_KILL_GET, 34, get_mce_kill, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "2.6.32",
       "Return the policy of set_mce_kill(), an int of MCE_KILL_*.")

/* Memory map */
FAMILY(SET_MM, 35)
OPERATION(SET_MM, set_mm, "(field, value)", SEVERAL, set_mm, TAKES(OBJECT(field), OBJECT(value)), NOTHING,
          NEEDS(CAP_SYS_RESOURCE, "changing the memory map by field needs CAP_SYS_RESOURCE"), PROCESS, "3.3",
          "Change one field of the kernel's map of the process's memory.\n\n"
          "*field* is SET_MM_START_CODE to SET_MM_ENV_END, and *value* an address; or\n"
          "SET_MM_AUXV, with the auxiliary vector as bytes-like; or SET_MM_EXE_FILE, with a\n"
          "file descriptor or an object that has fileno(). The kernel checks the fields\n"
          "against each other, so the order of two moves matters; set_mm_map() moves all at\n"
          "once and needs no privilege.\n\n"
          "Needs CAP_SYS_RESOURCE: PermissionError. ValueError for another field, OverflowError for an address that does not fit an\n"
          "unsigned long, OSError (EINVAL) for one that the kernel does not take.")
OPERATION(SET_MM, set_mm_map, "(map, /)", ONE, set_mm_map, TAKES(OBJECT(map)), NOTHING,
          NEEDS(CAP_CHECKPOINT_RESTORE, "changing the executable needs CAP_CHECKPOINT_RESTORE"), PROCESS, "3.18",
          "Set the kernel's whole map of the process's memory.\n\n"
          "*map* is what get_mm_map() gives, with other values:\n"
          "``set_mm_map(get_mm_map()._replace(arg_end=end))``. Its field auxv may be an\n"
          "address or bytes-like; with auxv_size 0 the vector stays. With exe_fd -1 the\n"
          "executable stays and no privilege is needed; otherwise CAP_CHECKPOINT_RESTORE or\n"
          "CAP_SYS_ADMIN, and nothing of the old executable may be mapped (EBUSY).\n\n"
          "TypeError and ValueError for what is no such tuple, OverflowError for a number\n"
          "that its field cannot hold, OSError (EINVAL) for addresses below\n"
          "vm.mmap_min_addr, ends before their starts, and without CONFIG_CHECKPOINT_RESTORE.")
OPERATION(SET_MM, get_mm_map, "()", NONE, get_mm_map, TAKES_NOTHING, NOTHING,
          NO_PRIVILEGE, PROCESS, "3.18",
          "Return the kernel's map of the process's memory as it stands, for set_mm_map().\n\n"
          "A named tuple of ints: start_code, end_code, start_data, end_data, start_brk,\n"
          "brk, start_stack, arg_start, arg_end, env_start and env_end are addresses; auxv\n"
          "and auxv_size are 0 and exe_fd is -1, which means no change. The kernel has no\n"
          "such call: the values are those of /proc/self/stat and of brk(2). OSError when\n"
          "/proc cannot be read.")
OPERATION(SET_MM, get_mm_map_size, "()", NONE, by_table, TAKES(FIXED(PR_SET_MM_MAP_SIZE), OUT), WRITES_UNSIGNED,
          NO_PRIVILEGE, PROCESS, "3.18",
          "Return the size of the kernel's struct prctl_mm_map in bytes, an int.\n\n"
          "OSError (EINVAL) without CONFIG_CHECKPOINT_RESTORE.")

/* Orphans */
OPTION(SET_CHILD_SUBREAPER, 36, set_child_subreaper, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, PROCESS, "3.4",
       "Let orphaned descendants become children of this process instead of init's.\n\n"
       "*flag* is taken by its truth. The process has to wait for them. Children do not\n"
       "inherit it; exec keeps it.")
OPTION(GET_CHILD_SUBREAPER, 37, get_child_subreaper, "()", NONE, by_table, TAKES(OUT), WRITES_BOOL,
       NO_PRIVILEGE, PROCESS, "3.4",
       "Return whether orphaned descendants become children of this process, a bool.")

/* New privileges */
OPTION(SET_NO_NEW_PRIVS, 38, set_no_new_privs, "(flag=True, /)", SEVERAL, by_table, TAKES(TRUE_FLAG(flag)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "3.5",
       "Give up for good that exec can give privileges: by set-uid, set-gid or file capabilities.\n\n"
       "It cannot be unset: a false *flag* is ValueError. Inherited by children and kept\n"
       "by exec.")
OPTION(GET_NO_NEW_PRIVS, 39, get_no_new_privs, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, THREAD, "3.5",
       "Return whether exec can no longer give privileges to the thread, a bool.")

/* Checkpointing */
OPTION(GET_TID_ADDRESS, 40, get_tid_address, "()", NONE, by_table, TAKES(OUT), WRITES_ADDRESS,
       NO_PRIVILEGE, THREAD, "3.5",
       "Return the address of set_tid_address(2), an int: cleared when the thread ends.\n\n"
       "OSError (EINVAL) without CONFIG_CHECKPOINT_RESTORE.")

/* Transparent huge pages */
OPTION(SET_THP_DISABLE, 41, set_thp_disable, "(flag, flags=0)", SEVERAL, by_table, TAKES(FLAG(flag), WORD_OR_0(flags)), NOTHING,
       NO_PRIVILEGE, PROCESS, "3.15",
       "Keep transparent huge pages from the process, or allow them.\n\n"
       "*flag* is taken by its truth. *flags* may be THP_DISABLE_EXCEPT_ADVISED (Linux\n"
       "6.18), which leaves them where madvise(2) asks for them; OSError (EINVAL) on\n"
       "kernels before, and with a false flag. Inherited by fork and kept by exec.")
OPTION(GET_THP_DISABLE, 42, get_thp_disable, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, PROCESS, "3.15",
       "Return whether transparent huge pages are kept from the process.\n\n"
       "An int: 0 is no, 1 yes, 3 yes except where madvise(2) asks for them.")

/* Memory protection extensions */
OPTION(MPX_ENABLE_MANAGEMENT, 43, mpx_enable_management, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, PROCESS, "3.19, on x86, until 5.4",
       "Let the kernel manage the bounds tables of Intel MPX.\n\n"
       "OSError (EINVAL) on other architectures and since Linux 5.4.")
OPTION(MPX_DISABLE_MANAGEMENT, 44, mpx_disable_management, "()", NONE, by_table, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, PROCESS, "3.19, on x86, until 5.4",
       "Let the kernel no longer manage the bounds tables of Intel MPX.\n\n"
       "OSError (EINVAL) on other architectures and since Linux 5.4.")

/* Floating-point mode */
OPTION(SET_FP_MODE, 45, set_fp_mode, "(mode, /)", ONE, by_table, TAKES(WORD(mode)), NOTHING,
       NO_PRIVILEGE, PROCESS, "4.0, on mips",
       "Choose how the floating-point registers work.\n\n"
       "*mode* is an int of FP_MODE_* bits. OSError EOPNOTSUPP for a mode that the\n"
       "processor does not have, EINVAL on other architectures.")
OPTION(GET_FP_MODE, 46, get_fp_mode, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, PROCESS, "4.0, on mips",
       "Return how the floating-point registers work, an int of FP_MODE_* bits.\n\n"
       "OSError (EINVAL) on other architectures.")

/* The ambient set */
FAMILY(CAP_AMBIENT, 47)
OPERATION(CAP_AMBIENT, cap_ambient_is_set, "(capability, /)", ONE, by_table,
          TAKES(FIXED(PR_CAP_AMBIENT_IS_SET), CAPABILITY_NUMBER(capability)), RETURNS_BOOL,
          NO_PRIVILEGE, THREAD, "4.3",
          "Return whether a capability is in the ambient set, a bool.\n\n"
          "*capability* is a CAP_* number. ValueError outside 0 to 63, OSError (EINVAL) for\n"
          "one that the running kernel does not have. prctl.cap_ambient is the whole set.")
OPERATION(CAP_AMBIENT, cap_ambient_raise, "(capability, /)", ONE, by_table,
          TAKES(FIXED(PR_CAP_AMBIENT_RAISE), CAPABILITY_NUMBER(capability)), NOTHING,
          NO_PRIVILEGE, EVERY_THREAD, "4.3",
          "Add a capability to the ambient set: programs without file capabilities keep it at exec.\n\n"
          "*capability* is a CAP_* number. PermissionError unless permitted and inheritable\n"
          "both have it, and with the securebit no_cap_ambient_raise; the rest as in\n"
          "cap_ambient_is_set().")
OPERATION(CAP_AMBIENT, cap_ambient_lower, "(capability, /)", ONE, by_table,
          TAKES(FIXED(PR_CAP_AMBIENT_LOWER), CAPABILITY_NUMBER(capability)), NOTHING,
          NO_PRIVILEGE, EVERY_THREAD, "4.3",
          "Take a capability out of the ambient set.\n\n"
          "*capability* and the errors are those of cap_ambient_is_set().")
OPERATION(CAP_AMBIENT, cap_ambient_clear_all, "()", NONE, by_table, TAKES(FIXED(PR_CAP_AMBIENT_CLEAR_ALL)), NOTHING,
          NO_PRIVILEGE, EVERY_THREAD, "4.3",
          "Take all capabilities out of the ambient set.")

/* Scalable vectors */
OPTION(SVE_SET_VL, 50, sve_set_vl, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), RETURNS_NEW,
       NO_PRIVILEGE, THREAD, "4.15, on arm64",
       "Set the length of the SVE vectors.\n\n"
       "*bits* is the length in bytes together with SVE_SET_VL_ONEXEC and\n"
       "SVE_VL_INHERIT. Returns what sve_get_vl() will: the kernel takes the longest\n"
       "length it has up to the wish. The vector registers are lost.\n"
       "OSError (EINVAL) without SVE.")
OPTION(SVE_GET_VL, 51, sve_get_vl, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "4.15, on arm64",
       "Return the length of the SVE vectors and its flags.\n\n"
       "An int: ``& SVE_VL_LEN_MASK`` is the length in bytes, ``& SVE_VL_INHERIT`` tells\n"
       "whether exec keeps it. OSError (EINVAL) without SVE.")

/* Speculative execution */
OPTION(GET_SPECULATION_CTRL, 52, get_speculation_ctrl, "(feature, /)", ONE, by_table, TAKES(WORD(feature)), RETURNS_INT,
       NO_PRIVILEGE, THREAD, "4.17",
       "Return the state of a way to execute speculatively, an int of SPEC_* bits.\n\n"
       "*feature* is SPEC_STORE_BYPASS, SPEC_INDIRECT_BRANCH or SPEC_L1D_FLUSH. With\n"
       "SPEC_PRCTL set_speculation_ctrl() can change it; SPEC_NOT_AFFECTED (0) and\n"
       "SPEC_ENABLE alone mean that it cannot. OSError ENODEV for a feature that the\n"
       "kernel does not know, EINVAL where the architecture has no such control.")
OPTION(SET_SPECULATION_CTRL, 53, set_speculation_ctrl, "(feature, control)", SEVERAL, by_table,
       TAKES(WORD(feature), WORD(control)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "4.17",
       "Allow or stop a way to execute speculatively.\n\n"
       "*feature* is as in get_speculation_ctrl(). *control* is SPEC_ENABLE,\n"
       "SPEC_DISABLE, SPEC_FORCE_DISABLE (for good) or SPEC_DISABLE_NOEXEC (until exec).\n"
       "OSError ERANGE for a control that the feature does not have; ENXIO (store bypass)\n"
       "or EPERM when it cannot be controlled; EPERM after SPEC_FORCE_DISABLE; ENODEV and\n"
       "EINVAL as in get_speculation_ctrl().")

/* Pointer authentication */
OPTION(PAC_RESET_KEYS, 54, pac_reset_keys, "(keys, /)", ONE, by_table,
       TAKES(BITS(keys, PR_PAC_APIAKEY | PR_PAC_APIBKEY | PR_PAC_APDAKEY | PR_PAC_APDBKEY | PR_PAC_APGAKEY,
                  "PAC_APIAKEY, PAC_APIBKEY, PAC_APDAKEY, PAC_APDBKEY, PAC_APGAKEY")), NOTHING,
       NO_PRIVILEGE, THREAD, "5.0, on arm64",
       "Give the thread new random keys for pointer authentication.\n\n"
       "*keys* is an int of PAC_* bits; 0 stands for all. Functions that have signed\n"
       "their return addresses with an old key cannot return. ValueError for other bits;\n"
       "OSError (EINVAL) without pointer authentication.")

/* Tagged addresses */
OPTION(SET_TAGGED_ADDR_CTRL, 55, set_tagged_addr_ctrl, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "5.4, on arm64; on riscv since 6.13",
       "Allow tagged addresses in system calls, and choose the checking of memory tags.\n\n"
       "*bits* is an int of TAGGED_ADDR_ENABLE with MTE_* (arm64) or PMLEN_* (riscv).\n"
       "OSError (EINVAL) for what the processor or the kernel does not have.")
OPTION(GET_TAGGED_ADDR_CTRL, 56, get_tagged_addr_ctrl, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "5.4, on arm64; on riscv since 6.13",
       "Return the bits of set_tagged_addr_ctrl(), an int.\n\n"
       "OSError (EINVAL) where the architecture has no tagged addresses.")

/* I/O flushers */
OPTION(SET_IO_FLUSHER, 57, set_io_flusher, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NEEDS(CAP_SYS_RESOURCE, "I/O flushers need CAP_SYS_RESOURCE"), EVERY_THREAD, "5.6",
       "Let the thread's allocations never wait for the I/O that it has to carry out itself.\n\n"
       "*flag* is taken by its truth. For the daemons of file systems and block devices\n"
       "in user space. Needs CAP_SYS_RESOURCE: PermissionError.")
OPTION(GET_IO_FLUSHER, 58, get_io_flusher, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NEEDS(CAP_SYS_RESOURCE, "I/O flushers need CAP_SYS_RESOURCE"), THREAD, "5.6",
       "Return whether the thread is an I/O flusher, a bool.\n\n"
       "Needs CAP_SYS_RESOURCE: PermissionError.")

/* System calls of foreign programs */
OPTION(SET_SYSCALL_USER_DISPATCH, 59, set_syscall_user_dispatch, "(mode, offset=0, length=0, selector=None)", SEVERAL,
       set_syscall_user_dispatch,
       TAKES(ONE_OF3(mode, SYS_DISPATCH_OFF, SYS_DISPATCH_EXCLUSIVE_ON, SYS_DISPATCH_INCLUSIVE_ON), WORD_OR_0(offset),
             WORD_OR_0(length), OPTIONAL_OBJECT(selector)), NOTHING,
       NO_PRIVILEGE, THREAD, "5.11, on x86, s390, riscv, loongarch",
       "Turn the thread's system calls into SIGSYS, for emulators.\n\n"
       "*mode* is SYS_DISPATCH_OFF, SYS_DISPATCH_EXCLUSIVE_ON (or SYS_DISPATCH_ON: calls\n"
       "from the code of *length* bytes at address *offset* are always let through) or\n"
       "SYS_DISPATCH_INCLUSIVE_ON (Linux 6.17: only calls from there are dispatched).\n"
       "*selector* is a writable buffer of at least one byte: while it is\n"
       "SYSCALL_DISPATCH_FILTER_ALLOW, calls go through; while it is\n"
       "SYSCALL_DISPATCH_FILTER_BLOCK, they are dispatched; any other value ends the\n"
       "process. The buffer is kept alive until dispatch is turned off or set anew in this\n"
       "thread; of a thread that ends before, for good. fork turns dispatch off.\n\n"
       "ValueError for another mode, for a selector that holds another value, and for\n"
       "turning dispatch on without selector and code: the next system call would kill.\n"
       "OSError (EINVAL) for arguments with SYS_DISPATCH_OFF, and on other architectures.")

/* More pointer authentication */
OPTION(PAC_SET_ENABLED_KEYS, 60, pac_set_enabled_keys, "(affected, enabled)", SEVERAL, by_table,
       TAKES(BITS(affected, PR_PAC_APIAKEY | PR_PAC_APIBKEY | PR_PAC_APDAKEY | PR_PAC_APDBKEY,
                  "PAC_APIAKEY, PAC_APIBKEY, PAC_APDAKEY, PAC_APDBKEY"),
             BITS(enabled, PR_PAC_APIAKEY | PR_PAC_APIBKEY | PR_PAC_APDAKEY | PR_PAC_APDBKEY,
                  "PAC_APIAKEY, PAC_APIBKEY, PAC_APDAKEY, PAC_APDBKEY")), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "5.13, on arm64",
       "Enable and disable keys for pointer authentication.\n\n"
       "*affected* and *enabled* are ints of PAC_* bits: of the keys in affected, those in\n"
       "enabled are enabled and the others disabled. ValueError for other bits; OSError\n"
       "(EINVAL) when enabled is not within affected, and without pointer authentication.")
OPTION(PAC_GET_ENABLED_KEYS, 61, pac_get_enabled_keys, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "5.13, on arm64",
       "Return which keys for pointer authentication are enabled, an int of PAC_* bits.\n\n"
       "OSError (EINVAL) without pointer authentication.")

/* Core scheduling */
FAMILY(SCHED_CORE, 62)
OPERATION(SCHED_CORE, sched_core_get, "(pid=0, /)", SEVERAL, by_table,
          TAKES(FIXED(PR_SCHED_CORE_GET), PID_OR_0(pid), FIXED(PR_SCHED_CORE_SCOPE_THREAD), OUT), WRITES_COOKIE,
          NO_PRIVILEGE, ANY, "5.14",
          "Return the core scheduling cookie of a thread, an int; 0 is none.\n\n"
          "Threads share a processor core only with those of the same cookie. *pid* is a\n"
          "thread's id, 0 the calling thread. OverflowError for a pid beyond 32 bits; OSError\n"
          "EINVAL without CONFIG_SCHED_CORE, ENODEV without SMT, ESRCH when there is no such\n"
          "thread; PermissionError when it may not be traced.")
OPERATION(SCHED_CORE, sched_core_create, "(pid=0, scope=0)", SEVERAL, by_table,
          TAKES(FIXED(PR_SCHED_CORE_CREATE), PID_OR_0(pid), WORD_OR_0(scope)), NOTHING,
          NO_PRIVILEGE, ANY, "5.14",
          "Give a thread, or more, a new core scheduling cookie of their own.\n\n"
          "*scope* is SCHED_CORE_SCOPE_THREAD, SCHED_CORE_SCOPE_THREAD_GROUP or\n"
          "SCHED_CORE_SCOPE_PROCESS_GROUP. *pid* and the errors are those of\n"
          "sched_core_get().")
OPERATION(SCHED_CORE, sched_core_share_to, "(pid, scope=0)", SEVERAL, by_table,
          TAKES(FIXED(PR_SCHED_CORE_SHARE_TO), PID(pid), WORD_OR_0(scope)), NOTHING,
          NO_PRIVILEGE, ANY, "5.14",
          "Give the calling thread's core scheduling cookie to another one, or more.\n\n"
          "*scope* is that of sched_core_create(); *pid* and the errors are those of\n"
          "sched_core_get().")
OPERATION(SCHED_CORE, sched_core_share_from, "(pid, /)", ONE, by_table,
          TAKES(FIXED(PR_SCHED_CORE_SHARE_FROM), PID(pid)), NOTHING,
          NO_PRIVILEGE, ANY, "5.14",
          "Take over the core scheduling cookie of another thread.\n\n"
          "*pid* and the errors are those of sched_core_get().")

/* Scalable matrices */
OPTION(SME_SET_VL, 63, sme_set_vl, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), RETURNS_NEW,
       NO_PRIVILEGE, THREAD, "5.19, on arm64",
       "Set the length of the streaming SVE vectors of SME.\n\n"
       "*bits* is the length in bytes together with SME_SET_VL_ONEXEC and\n"
       "SME_VL_INHERIT. Returns what sme_get_vl() will. OSError (EINVAL) without SME.")
OPTION(SME_GET_VL, 64, sme_get_vl, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "5.19, on arm64",
       "Return the length of the streaming SVE vectors of SME and its flags.\n\n"
       "An int: ``& SME_VL_LEN_MASK`` is the length in bytes, ``& SME_VL_INHERIT`` tells\n"
       "whether exec keeps it. OSError (EINVAL) without SME.")

/* Memory that is written or executed, not both */
OPTION(SET_MDWE, 65, set_mdwe, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NO_PRIVILEGE, PROCESS, "6.3",
       "Refuse for good mappings that are writable and executable, or become executable.\n\n"
       "*bits* is MDWE_REFUSE_EXEC_GAIN, with MDWE_NO_INHERIT (Linux 6.6) where forked\n"
       "children shall be free of it. exec keeps it. OSError (EINVAL) for other bits and\n"
       "MDWE_NO_INHERIT alone; PermissionError for any change once it is set.")
OPTION(GET_MDWE, 66, get_mdwe, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, PROCESS, "6.3",
       "Return what set_mdwe() has set, an int of MDWE_* bits.")

/* Memory merging */
OPTION(SET_MEMORY_MERGE, 67, set_memory_merge, "(flag, /)", ONE, by_table, TAKES(FLAG(flag)), NOTHING,
       NO_PRIVILEGE, PROCESS, "6.4",
       "Let the kernel merge pages of equal content of all the process's memory, or not.\n\n"
       "*flag* is taken by its truth. Inherited by fork and kept by exec. Other processes\n"
       "can find out by timing what the merged pages hold. OSError (EINVAL) without\n"
       "CONFIG_KSM.")
OPTION(GET_MEMORY_MERGE, 68, get_memory_merge, "()", NONE, by_table, TAKES_NOTHING, RETURNS_BOOL,
       NO_PRIVILEGE, PROCESS, "6.4",
       "Return whether the kernel may merge pages of equal content in all the memory, a bool.\n\n"
       "OSError (EINVAL) without CONFIG_KSM.")

/* RISC-V */
OPTION(RISCV_V_SET_CONTROL, 69, riscv_v_set_control, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "6.5, on riscv",
       "Let the thread, and what it execs, use vector instructions or not.\n\n"
       "*bits* is RISCV_V_VSTATE_CTRL_DEFAULT, _OFF or _ON for the thread, the same\n"
       "shifted by two for after exec, and RISCV_V_VSTATE_CTRL_INHERIT. PermissionError to\n"
       "turn them off when on; OSError (EINVAL) without vector instructions.")
OPTION(RISCV_V_GET_CONTROL, 70, riscv_v_get_control, "()", NONE, by_table, TAKES_NOTHING, RETURNS_INT,
       NO_PRIVILEGE, THREAD, "6.5, on riscv",
       "Return the bits of riscv_v_set_control(), an int.\n\n"
       "OSError (EINVAL) without vector instructions.")
OPTION(RISCV_SET_ICACHE_FLUSH_CTX, 71, riscv_set_icache_flush_ctx, "(context, scope)", SEVERAL, by_table,
       TAKES(WORD(context), WORD(scope)), NOTHING,
       NO_PRIVILEGE, ANY, "6.10, on riscv",
       "Let programs that change their own code use fence.i, or not.\n\n"
       "*context* is RISCV_CTX_SW_FENCEI_ON or RISCV_CTX_SW_FENCEI_OFF, *scope*\n"
       "RISCV_SCOPE_PER_PROCESS or RISCV_SCOPE_PER_THREAD: whose threads the kernel flushes\n"
       "the instruction cache for. OSError (EINVAL) for others and on other architectures.")

/* PowerPC */
OPTION(PPC_GET_DEXCR, 72, ppc_get_dexcr, "(aspect, /)", ONE, by_table, TAKES(WORD(aspect)), RETURNS_INT,
       NO_PRIVILEGE, THREAD, "6.10, on powerpc",
       "Return the control of an aspect of execution, an int of PPC_DEXCR_CTRL_* bits.\n\n"
       "*aspect* is PPC_DEXCR_SBHE, PPC_DEXCR_IBRTPD, PPC_DEXCR_SRAPD or\n"
       "PPC_DEXCR_NPHIE. OSError ENODEV where the processor lacks it, EINVAL on other\n"
       "architectures.")
OPTION(PPC_SET_DEXCR, 73, ppc_set_dexcr, "(aspect, control)", SEVERAL, by_table, TAKES(WORD(aspect), WORD(control)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "6.10, on powerpc",
       "Control an aspect of execution, now or after exec.\n\n"
       "*aspect* is that of ppc_get_dexcr(), *control* PPC_DEXCR_CTRL_SET or _CLEAR, with\n"
       "PPC_DEXCR_CTRL_SET_ONEXEC or _CLEAR_ONEXEC. PermissionError for an aspect that\n"
       "cannot be edited, and to clear PPC_DEXCR_NPHIE at exec without CAP_SYS_ADMIN.")

/* Shadow stacks */
OPTION(GET_SHADOW_STACK_STATUS, 74, get_shadow_stack_status, "()", NONE, by_table, TAKES(OUT), WRITES_ULONG,
       NO_PRIVILEGE, THREAD, "6.13, on arm64; on riscv since 7.0",
       "Return the state of the shadow stack, an int of SHADOW_STACK_* bits.\n\n"
       "OSError (EINVAL) without shadow stacks.")
OPTION(SET_SHADOW_STACK_STATUS, 75, set_shadow_stack_status, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NO_PRIVILEGE, THREAD, "6.13, on arm64; on riscv since 7.0",
       "Turn the shadow stack on or off.\n\n"
       "*bits* is an int of SHADOW_STACK_* bits. The functions that are running then have\n"
       "no return address on it: the thread cannot return from them. OSError EBUSY for a\n"
       "locked bit, EINVAL without shadow stacks.")
OPTION(LOCK_SHADOW_STACK_STATUS, 76, lock_shadow_stack_status, "(bits, /)", ONE, by_table, TAKES(WORD(bits)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "6.13, on arm64; on riscv since 7.0",
       "Lock bits of the shadow stack as they are.\n\n"
       "*bits* is an int of SHADOW_STACK_* bits; riscv accepts only 0, which locks all.\n"
       "OSError (EINVAL) without shadow stacks.")

/* Timers with given ids */
OPTION(TIMER_CREATE_RESTORE_IDS, 77, timer_create_restore_ids, "(control, /)", ONE, timer_create_restore_ids,
       TAKES(ONE_OF3(control, TIMER_CREATE_RESTORE_IDS_OFF, TIMER_CREATE_RESTORE_IDS_ON, TIMER_CREATE_RESTORE_IDS_GET)),
       NOTHING,
       NO_PRIVILEGE, PROCESS, "6.15",
       "Let timer_create(2) take the id from the caller, or tell whether it does.\n\n"
       "*control* is TIMER_CREATE_RESTORE_IDS_ON, _OFF or _GET. An int, 0 or 1, for _GET,\n"
       "None for the others. Reset by fork and exec. ValueError for another control;\n"
       "OSError (EINVAL) before Linux 6.15.")

/* Futexes */
FAMILY(FUTEX_HASH, 78)
OPERATION(FUTEX_HASH, futex_hash_set_slots, "(slots, /)", ONE, by_table,
          TAKES(FIXED(PR_FUTEX_HASH_SET_SLOTS), UNSIGNED_32(slots)), NOTHING,
          NO_PRIVILEGE, PROCESS, "6.17",
          "Set how many slots the process's own table of futexes has.\n\n"
          "*slots* is a power of two from 2 up; 0 goes back to the table that all processes\n"
          "share, for good. Reset by fork and exec. OverflowError beyond 32 bits; OSError\n"
          "EINVAL for another number, EBUSY after 0.")
OPERATION(FUTEX_HASH, futex_hash_get_slots, "()", NONE, by_table, TAKES(FIXED(PR_FUTEX_HASH_GET_SLOTS)), RETURNS_INT,
          NO_PRIVILEGE, PROCESS, "6.17",
          "Return how many slots the process's own table of futexes has, an int.\n\n"
          "0 means that it uses the table that all processes share.")

/* Time slices */
FAMILY(RSEQ_SLICE_EXTENSION, 79)
OPERATION(RSEQ_SLICE_EXTENSION, set_rseq_slice_extension, "(bits, /)", ONE, by_table,
          TAKES(FIXED(PR_RSEQ_SLICE_EXTENSION_SET), WORD(bits)), NOTHING,
          NO_PRIVILEGE, EVERY_THREAD, "7.0",
          "Let the thread ask for a little more time at the end of its slice, by rseq(2).\n\n"
          "*bits* is RSEQ_SLICE_EXT_ENABLE or 0. OSError EOPNOTSUPP where the kernel does not\n"
          "offer it, ENXIO when the thread has no rseq, EINVAL before Linux 7.0.")
OPERATION(RSEQ_SLICE_EXTENSION, get_rseq_slice_extension, "()", NONE, by_table,
          TAKES(FIXED(PR_RSEQ_SLICE_EXTENSION_GET)), RETURNS_INT,
          NO_PRIVILEGE, THREAD, "7.0",
          "Return the bits of set_rseq_slice_extension(), an int.\n\n"
          "OSError (EINVAL) before Linux 7.0.")

/* Control-flow integrity */
OPTION(GET_CFI, 80, get_cfi, "(feature, /)", ONE, by_table, TAKES(WORD(feature), OUT), WRITES_ULONG,
       NO_PRIVILEGE, THREAD, "7.0, on riscv",
       "Return the state of a feature of control-flow integrity, an int of CFI_* bits.\n\n"
       "*feature* is CFI_BRANCH_LANDING_PADS. OSError (EINVAL) where there is none.")
OPTION(SET_CFI, 81, set_cfi, "(feature, control)", SEVERAL, by_table, TAKES(WORD(feature), WORD(control)), NOTHING,
       NO_PRIVILEGE, EVERY_THREAD, "7.0, on riscv",
       "Turn a feature of control-flow integrity on or off, or lock it.\n\n"
       "*feature* is CFI_BRANCH_LANDING_PADS, *control* CFI_ENABLE or CFI_DISABLE, with\n"
       "CFI_LOCK. OSError (EINVAL) where there is none.")

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
       "Return the pid that set_ptracer() was last given in this process, an int.\n\n"
       "The kernel does not tell: the module remembers, and until then answers the pid of\n"
       "the parent. A forked child starts anew.")

/* Names of mappings */
FAMILY(SET_VMA, 0x53564d41)
OPERATION(SET_VMA, set_vma_anon_name, "(address, length, name)", SEVERAL, set_vma_anon_name,
          TAKES(OBJECT(address), OPTIONAL_OBJECT(length), OPTIONAL_OBJECT(name)), NOTHING,
          NO_PRIVILEGE, PROCESS, "5.17",
          "Name anonymous memory: /proc/PID/maps shows ``[anon:name]``.\n\n"
          "*address* (a multiple of the page size) and *length* are ints, in bytes; a\n"
          "writable buffer such as mmap.mmap may stand for both:\n"
          "``set_vma_anon_name(buffer, name)``. *name* is a str or bytes of at most 79\n"
          "printable ASCII characters without ``[ ] \\ $`` and backtick; None takes the name\n"
          "away.\n\n"
          "ValueError for another name; OSError EINVAL for an address between pages and\n"
          "without CONFIG_ANON_VMA_NAME, EBADF for the mapping of a file (before Linux 6.2 for\n"
          "shared memory too), ENOMEM when some of it is not mapped: the rest is named then.")

/* The auxiliary vector */
OPTION(GET_AUXV, 0x41555856, get_auxv, "()", NONE, get_auxv, TAKES_NOTHING, NOTHING,
       NO_PRIVILEGE, PROCESS, "6.4",
       "Return the auxiliary vector: a dict of int to int, as getauxval(3) numbers them.\n\n"
       "OSError (EINVAL) before Linux 6.4.")

#undef OPTION
#undef FAMILY
#undef OPERATION
#undef FORMER
