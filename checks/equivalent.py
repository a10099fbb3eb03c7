"""Mutants that nobody can notice, by the reason; see mutations.py."""

REASONS = {
    "its caller asks for less than 0 only": [
        "src/sets.c mask_from_list: return 0; [returns 1]",
        "src/proctitle.c move_by_field: return 0; [returns 1]",
        "src/threads.c restore_handler: return 0; [returns 1]",
        "src/launcher.c next_number: return 0; [returns 1]",
        "src/launcher.c number_get: return 0; [returns 1]",
        "src/launcher.c groups_get: return 0; [returns 1]",
        "src/launcher.c ids_get: return 0; [returns 1]",
        "src/launcher.c call_get: return 0; [returns 1]",
        "src/launcher.c file_get: return 0; [returns 1]",
        "src/launcher.c program_get: return 0; [returns 1]",
        "_prctlmodule.c convert: return 0; [returns 1]",
        "_prctlmodule.c convert: return 0; [returns 1] #2",
        "_prctlmodule.c convert: return 0; [returns 1] #3",
        "_prctlmodule.c convert: return 0; [returns 1] #4",
        "src/plan.c groups_from_list: return 0; [returns 1]",
        "src/plan.c audit_plan: return 0; [returns 1]",
        "src/sets.c set_read: return 0; [returns 1]",
        "src/sets.c set_read: return 0; [returns 1] #2",
        "src/sets.c audit_each: return 0; [returns 1]",
        "src/sets.c check_raised: return 0; [returns 1]",
        "src/sets.c get_set: return 0; [returns 1]",
        "src/convert.c text_from_str: return 0; [returns 1]",
        "src/convert.c text_from_str: return 0; [returns 1] #2",
        "src/capability.c record_get: return 0; [returns 1]",
        "src/capability.c masks_get: return 0; [returns 1]",
        "src/capability.c file_get: return 0; [returns 1]",
        "src/capability.c rootid_get: return 0; [returns 1]",
        "src/convert.c text_get: return 0; [returns 1]",
        "src/convert.c writable_get: return 0; [returns 1]",
        "src/memory.c exe_fd_get: return 0; [returns 1]",
        "src/audit.c audit_exec: return 0; [returns 1]",
        "src/memory.c vma_name_get: return 0; [returns 1]",
        "src/proctitle.c use_argv: return 0; [returns 1]",
        "src/proctitle.c use_own_area: return 0; [returns 1]",
        "_prctlmodule.c int_get: return 0; [returns 1]",
        "_prctlmodule.c selector_get: return 0; [returns 1]",
        "_prctlmodule.c door_open_buffer: return 0; [returns 1]",
        "_prctlmodule.c door_open_buffer: return 0; [returns 1] #2",
        "_prctlmodule.c bind_keyword: return 0; [returns 1]",
        "_prctlmodule.c door_take: return 0; [returns 1]",
        "_prctlmodule.c door_take: return 0; [returns 1] #2",
        "_prctlmodule.c door_open: return 0; [returns 1]",
        "src/sets.c capability_get: number < 0 [never]",  # -1 and -2 are the same to it
        "src/threads.c make_table: return 0; [returns 1]",
        "src/threads.c make_table: return 0; [returns 1] #2",
    ],
    "behind a switch that has every case": [
        "src/plan.c audit_step: return 0; [returns 1]",
    ],
    "what comes next fails in the same way": [
        "_prctl_children.py _launcher_program: missing [never]",
        # Nor does the kernel find memory there.
        "src/memory.c area_get: return PyErr_SetString(PyExc_TypeError,"
        " \"set_vma_anon_name() missing required argument 'length'\"), -1; [returns 0]",
        "src/memory.c map_class: class == NULL [never]",
        "src/memory.c set_mm_map: !PyTuple_Check(arguments[0]) [never]",
        "src/memory.c map_class: class != NULL [never]",  # and there is no exception to match
        "src/plan.c same_groups: now == MAP_FAILED [never]",  # EFAULT, for other than no groups
        # CPython makes no OSError while there is another exception.
        "_prctlmodule.c by_table: error < 0 [never]",
        # An exception that is set: Python tells no hook then.
        "src/plan.c groups_arguments: group == NULL ||"
        " PyList_SetItem(list, (Py_ssize_t)i, group) < 0 [never]",
        "src/plan.c groups_arguments: group == NULL [never]",
        "src/plan.c groups_arguments: PyList_SetItem(list, (Py_ssize_t)i, group) < 0 [never]",
        'src/sets.c cap_change: wrong_count("_cap_change", 3, given) [never]',  # PyErr_Occurred()
        'src/sets.c capset_masks: wrong_count("_capset", 3, given) [never]',
        "src/sets.c dict_from_list: PyDict_SetItem(dict, key, mask & MASK(number) ? Py_True :"
        " Py_False) < 0 [never]",
        "src/sets.c dict_from_list: failed [never]",
        "src/sets.c get_caps: key == NULL [never]",  # dict_from_list() sees the exception
        "src/plan.c same_groups: count < 0 [never]",  # mmap() of no bytes
        "src/plan.c are_same_groups: place == step->groups.count [never]",  # the last comparison
        "src/proctitle.c use_argv: return -1; [returns 0]",  # the capacity is still 0
        "src/proctitle.c use_argv: return -1; [returns 0] #2",
        "src/proctitle.c title_capacity: title.area == NULL && use_own_area() < 0 && use_argv() < 0"
        " [never]",
        "src/process.c read_file: length < size [always]",  # read() of no bytes
        "src/sets.c cap_change: get_set(arguments[0], &set) < 0 [never]",  # PyErr_Occurred()
        'src/sets.c cap_change: wrong_count("_cap_change", 3, given) || '
        "get_set(arguments[0], &set) < 0 [never]",
        "src/sets.c cap_change: PyErr_Occurred() [never]",
        "src/launcher.c digit_value: digit >= '0' [always]",  # less than 0 is no digit, either
        "src/launcher.c digit_value: digit >= 'a' [always]",
        "src/launcher.c next_number: value < 0 [never]",  # as an unsigned number beyond the base
        "src/launcher.c main: order_get(argv[place], &order) < 0 [never]",  # it came before
        "src/threads.c threads_run_held: count < most [always]",  # both are 16
        "src/threads.c threads_run_held: count < (int)COUNT(report.first) [always]",
        "src/threads.c look_after: atomic_load(&slot->state) == SENT"
        " [always]",  # nobody can be looked for
        "src/threads.c all_threads: change == -1 [always]",  # PyErr_Occurred()
        "src/threads.c threads_run: error == 0 [always]",  # no other has been asked
    ],
    "only a shortcut: what comes next gives the same": [
        "src/sets.c find_last_capability: kernel_has(last + 1) [always]",
        "_prctl_children.py _prepared: wanted[:len(_NO_STATE)] == _NO_STATE [never]",
        "_prctl_children.py _above_stderr: descriptor > 2 [never]",
        "_prctl_operations.py _verify: usual.issubset(status.split(b'\\n')) [never]",
        "src/convert.c text_from_str: text->bytes != NULL && length == characters [never]",
        "src/convert.c text_from_str: (size_t)characters <= limit [never]",
        "src/convert.c integer_get: PyLong_Check(object) [never]",
        "src/threads.c scan: tid == 0 [never]",
        "src/threads.c run_everywhere: threads > 1 [always] #2",
        "src/threads.c run_everywhere: threads > 1 [always] #3",
        "src/threads.c report_get: report->failed [always]",
        "src/threads.c wait_awake: (count = atomic_load(counter)) < all.sent [always]",
        "src/threads.c proc_is_ours: length > 0 [always]",
        "src/threads.c is_within: slots != NULL [always]",  # a capacity of 0
        "src/threads.c is_within: (uintptr_t)pointer >= (uintptr_t)slots"
        " [always]",  # as an unsigned number
    ],
    "it never comes to a value: it raises": [
        "_prctl_cli.py _securebits: _wrong(f'Unknown securebit: {word}') [never]",
    ],
    "what is then done twice, or to nothing, does nothing": [
        "_prctlmodule.c name_get: utf8 == NULL [always]",
        "_prctlmodule.c name_get: utf8 == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)"
        " [always]",
        "_prctlmodule.c set_syscall_user_dispatch: buffer.obj != NULL [always]",
        "src/threads.c run_everywhere: directory >= 0 [always]",
        "src/launcher.c take: syscall(SYS_fcntl, (int)order->number, F_SETFD, FD_CLOEXEC) < 0"
        " [always]",  # errno is 0
        "src/launcher.c take: syscall(SYS_close, (int)order->number) < 0 [always]",
        "src/launcher.c execute_from: path[size - 1] != '/' [always]",
        "src/threads.c broadcast: how != AT_ONCE || again [always]",
        "src/threads.c broadcast: is_handled [always]",
        "src/threads.c is_without_user_mode: without_user_mode[i] == tid [always]",
        "src/threads.c look_after: state == 'W' [always]",
        "src/threads.c wait_for_all: atomic_load(&all.slots[i].state) == SENT ||"
        " atomic_load(&all.slots[i].state) == TAKEN [always]",
    ],
    "nothing that there is can make the difference": [
        "src/capability.c record_get: length >= 0 [never]",  # a libcap with another record
        "src/threads.c status_has: hex == NULL [never]",  # each kernel has these lines
        "src/threads.c task_state: (next = strrchr(stat, ')')) == NULL [never]",
        "src/process.c read_file: (got > 0 && length < size) [never]",  # /proc comes in one piece
        # A libcap that has no name for what the table has.
        "src/sets.c capability_name: (size_t)number < COUNT(capabilities) [never]",
        "src/sets.c capability_name: i < sizeof name - 1 [always]",  # no name is so long
        "src/sets.c capability_name: number > last_capability [always]",  # libcap's are ours
        'src/sets.c capability_name: strncmp(known, "cap_", 4) == 0 [never]',
        "src/sets.c number_of_name: utf8[i] <= 'z' [always]",  # no name has such a character
        "src/sets.c capability_name: number > last_capability [never]",  # nor are its numbers
        "src/capability.c set_file: rootid != 0 && cap_set_nsowner == NULL [never]",  # libcap 2.25
        "_prctlmodule.c PyInit__prctl: Py_Version >= 0x030C0000 [never]",  # CPython 3.11
        "src/convert.c unsigned_get: PyErr_ExceptionMatches(PyExc_OverflowError) [always]",
        # An argument of execve(2) has at most 128 KiB, where a page has 4.
        "src/launcher.c groups_get: count == sizeof groups / sizeof *groups [never]",
        "src/plan.c step_from_tuple: !PyErr_Occurred() [always]",  # IndexError will do as well
        "src/threads.c is_ours: info->si_code != SI_QUEUE [never]",  # others have no such value
        "src/threads.c is_ours: info->si_pid != all.pid [never]",
        "src/threads.c is_ours: info->si_code != SI_QUEUE || info->si_pid != all.pid [never]",
        "src/threads.c status_has: return 0; [returns 1]",
        "src/threads.c status_has: *hex != '\\0' [always]",
        "src/threads.c status_has: *hex <= '9' [boundary]",
        "src/threads.c task_state: *next != '\\0' [always]",
        "src/threads.c task_state: *next <= '9' [always]",
        "src/threads.c task_state: *next <= '9' [boundary]",
        'src/threads.c task_state: read_task(tid, "stat", stat, sizeof stat) <= 0 [boundary]',
        'src/threads.c look_after: read_task(slot->tid, "status", status, sizeof status) <= 0'
        " [boundary]",
        "src/threads.c parse_tid: *name <= '9' [always]",
        "src/threads.c remember_without_user_mode: errno == ESRCH [always]",
        "src/threads.c is_within: offset % sizeof *slots == 0"
        " [always]",  # nobody else has such a pointer
        "src/threads.c is_within: offset < capacity * sizeof *slots [boundary]",
    ],
    "only what was left in memory makes the difference: valgrind sees it": [
        "src/sets.c has_effective: sets_get(&sets) == 0 [always]",
        "src/proctitle.c move: mm_map_read(&map) < 0 [never]",  # the kernel refuses such a map
        "src/sets.c sets_set_within: sets_get(&sets) < 0 [never]",
        "src/sets.c ambient_lacks: sets_get(&sets) < 0 [never]",
        "src/sets.c change_thread_sets: sets_get(&old) < 0 [never]",
        "src/memory.c read_stat: strlen(next) < 4 [never]",
        "src/threads.c read_task: got < 0 [never]",  # a byte before the array: AddressSanitizer
    ],
    "only what two threads do at the same moment makes the difference": [
        "src/proctitle.c move_with_map: !threads_stand_still() && map.brk != (unsigned long)sbrk(0)"
        " [never]",
        # A signal comes late, after the table has grown, and just then another broadcast waits.
        "src/threads.c make_table: former[i].slots == NULL [never]",
        "src/threads.c is_ours: is_within(info->si_value.sival_ptr, former[i].slots,"
        " former[i].capacity) [never]",
        "src/threads.c answer: !atomic_compare_exchange_strong(&slot->state, &sent, TAKEN) [never]",
        "src/threads.c answer: slot->tid != (pid_t)syscall(SYS_gettid) [never]",
        "src/threads.c answer: !is_within(slot, all.slots, all.capacity) [never]",
        "src/threads.c answer: atomic_load(&slot->state) != SENT [never]",
        "src/threads.c is_ours: return 1; [returns 0] #2",
        "src/threads.c make_table: former[i].slots == NULL [always]",
        "src/threads.c give_up: atomic_compare_exchange_strong(&slot->state, &sent, DONE) [always]",
        "src/threads.c give_up: atomic_compare_exchange_strong(&slot->state, &sent, DONE)"
        " [always] #2",
        "src/threads.c give_up: sent == TAKEN && atomic_compare_exchange_strong(&slot->state,"
        " &sent, DONE) [always]",
        "src/threads.c give_up: sent == TAKEN [always]",
        "src/threads.c scan: listed == before [always]",
        "src/threads.c scan: listed == count_tasks(directory) [always]",
        "src/threads.c run_and_report: error == 0 [always]",
    ],
    "it only comes sooner or later, or more often": [
        "src/threads.c count_and_wake: atomic_fetch_add(counter, 1) + 1 =="
        " atomic_load(&all.expected) [never]",
        "src/threads.c read_clock: syscall(SYS_clock_gettime, CLOCK_MONOTONIC, raw) == 0 [never]",
        # The next time tgkill(2) says that the thread has ended.
        'src/threads.c task_state: read_task(tid, "stat", stat, sizeof stat) <= 0 [never]',
        "src/threads.c task_state: errno == ENOENT || errno == ESRCH [never]",
        "src/threads.c task_state: errno == ENOENT [never]",
        "src/threads.c task_state: errno == ESRCH [never]",
        "src/threads.c look_after: waited < SEND_AGAIN_AFTER ||"
        ' read_task(slot->tid, "status", status, sizeof status) <= 0 [never]',
        "src/threads.c look_after: waited < SEND_AGAIN_AFTER [never]",
        'src/threads.c look_after: read_task(slot->tid, "status", status, sizeof status) <= 0'
        " [never]",
        "src/threads.c look_after: state == 'X' [never]",
        "src/threads.c wait_awake: count != last [never]",
        "src/threads.c wait_for_all: before - last < 10 [never]",
        "src/threads.c wait_for_all: now() - before < pause [never]",
        "src/threads.c look_after: waited >= PATIENCE [never]",
        "src/threads.c remember_without_user_mode: remembered <= i [always]",
        "src/threads.c send_to: atomic_load(&all.taken) < all.sent [always]",
        "src/threads.c wait_for_all: atomic_load(&all.slots[i].state) == SENT [always]",
        "src/threads.c count_and_wake: atomic_fetch_add(counter, 1) + 1 =="
        " atomic_load(&all.expected) [always]",
        "src/threads.c read_clock: clock_gettime(CLOCK_MONOTONIC_COARSE, &time) < 0 [always]",
        "src/threads.c now: passed < LONGEST [boundary]",
        "src/threads.c make_table: capacity < threads * 8 [boundary]",
        'src/threads.c look_after: !status_has(status, "SigPnd:\\t") && waited / SEND_AGAIN_AFTER'
        " != before / SEND_AGAIN_AFTER [always]",
        'src/threads.c look_after: !status_has(status, "SigPnd:\\t") [always]',
        "src/threads.c look_after: waited >= REFUSAL [boundary]",
        "src/threads.c look_after: waited >= REFUSAL [boundary] #2",
        "src/threads.c look_after: waited >= REFUSAL [boundary] #3",
        "src/threads.c look_after: waited < SEND_AGAIN_AFTER [boundary]",
        "src/threads.c remember_without_user_mode: remembered <= i [boundary]",
        "src/threads.c wait_for_all: before - last < 10 [always]",
    ],
}

EQUIVALENT = {name for names in REASONS.values() for name in names}
