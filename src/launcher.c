/*
 * The small program that becomes a child: it makes the system calls of a plan, which Python has thought out, and
 * executes the command. It is not set-user-ID, decides nothing and grants nothing that its caller does not have.
 *
 *     _prctl_launcher [STEP | OPTION]... -- COMMAND [ARGUMENT]...
 *
 * The steps, taken in the order of the arguments; numbers are decimal, or hexadecimal behind 0x:
 *
 *     setgroups=GID,...  setresgid=R,E,S  setresuid=R,E,S  capset=E,P,I  prctl=OPTION,ARG2,...
 *     seccomp=HEX        install a BPF program, these bytes
 *     parent=PID         fail unless the parent is this process, or one in another pid namespace
 *
 * The options:
 *
 *     exec=FILE          what to execute, when COMMAND is only the name that it is told
 *     report=FD          where to write a struct report when something fails, in place of a line on standard error
 *     close=FD           a descriptor that is not for the command
 *
 * The exit status is 125 when a step fails or the arguments are not these, 127 when there is no such command, and 126
 * when it cannot be executed. Nothing is done before every argument has been understood.
 *
 * It does without a C library where src/start.h knows how: the start of one costs as much as a whole /bin/true.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/limits.h>
#include <linux/seccomp.h>

#include "plan.h"
#include "start.h"

enum { FAILED = 125, CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

/* What Python reads: which argument has failed, and how. */
struct report {
    int place;
    int error;
};

/* What an argument says. */
enum kind { STEP, PARENT, EXEC, REPORT, CLOSE };

struct order {
    enum kind kind;
    struct step step;
    unsigned long number;
    const char *file;
};

/* NGROUPS_MAX and BPF_MAXINSNS of the kernel. Steps are looked at one at a time, so one of each will do. */
static gid_t groups[65536];
static struct sock_filter filter[4096];
static struct sock_fprog program = {0, filter};

static int report_to = -1;

/*
 * Text
 */

static size_t
size_of(const char *text)
{
    size_t size = 0;

    while (text[size] != '\0')
        size++;
    return size;
}

/* What is behind the prefix, or NULL if the text does not begin with it. */
static const char *
behind(const char *text, const char *prefix)
{
    for (; *prefix != '\0'; text++, prefix++)
        if (*text != *prefix)
            return NULL;
    return text;
}

/* Up to the character, or to the end. */
static size_t
size_until(const char *text, char end)
{
    size_t size = 0;

    while (text[size] != '\0' && text[size] != end)
        size++;
    return size;
}

/*
 * What has gone wrong
 */

static char line[1024];
static size_t used;

static void
say(const char *text, size_t size)
{
    while (size-- > 0 && used < sizeof line - 1)
        line[used++] = *text++;
}

static void
say_all(const char *text)
{
    say(text, size_of(text));
}

static void
say_error(int error)
{
    char digits[12];
    size_t place = sizeof digits;

    switch (error) {
    case EPERM: say_all("Operation not permitted"); return;
    case ENOENT: say_all("No such file or directory"); return;
    case ESRCH: say_all("No such process"); return;
    case E2BIG: say_all("Argument list too long"); return;
    case ENOEXEC: say_all("Exec format error"); return;
    case ENOMEM: say_all("Cannot allocate memory"); return;
    case EACCES: say_all("Permission denied"); return;
    case ENOTDIR: say_all("Not a directory"); return;
    case EINVAL: say_all("Invalid argument"); return;
    case ENAMETOOLONG: say_all("File name too long"); return;
    case ELOOP: say_all("Too many levels of symbolic links"); return;
    }
    for (; error > 0; error /= 10)
        digits[--place] = (char)('0' + error % 10);
    say_all("errno ");
    say(digits + place, sizeof digits - place);
}

static const char *
option_name(long number)
{
    switch (number) {
#define OPTION(name, number, ...) case number: return "PR_" #name;
#define FAMILY(name, number) case number: return "PR_" #name;
#include "options.h"
    }
    return "?";
}

/* A step as the call that it is. */
static void
say_step(const char *argument, const struct step *step)
{
    size_t name = size_until(argument, '=');
    const char *values = argument + name + 1;

    if (behind(argument, "parent=") != NULL) {
        say_all("getppid() is no longer ");
        say_all(values);
        return;
    }
    if (behind(argument, "seccomp=") != NULL) {
        say_all("prctl(PR_SET_SECCOMP)");
        return;
    }
    say(argument, name);
    say_all("(");
    if (behind(argument, "prctl=") != NULL) {
        say_all(option_name((long)step->call[0]));
        values += size_until(values, ',');
    }
    say_all(values);
    say_all(")");
}

/* Ends the process. The line on standard error is about a step, or about the subject as it stands. It is a single
 * write(), so that those of several processes do not mix; when it fails, nobody is left to be told. */
static _Noreturn void
fail(int place, const char *subject, const struct step *step, int error, int status)
{
    struct report report = {place, error};

    if (report_to >= 0) {
        syscall(SYS_write, report_to, &report, sizeof report);
        leave(status);
    }
    say_all("prctl: ");
    if (step != NULL)
        say_step(subject, step);
    else
        say_all(subject);
    say_all(": ");
    say_error(error);
    line[used++] = '\n';
    syscall(SYS_write, STDERR_FILENO, line, used);
    leave(status);
}

/*
 * Arguments. What returns an int returns 0, or -1 when the text is not as it must be.
 */

static int
digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

/* One number of a list, and the comma behind it. */
static int
next_number(const char **text, uint64_t limit, uint64_t *number)
{
    uint64_t base = 10, digits = 0;

    *number = 0;
    if (behind(*text, "0x") != NULL) {
        base = 16;
        *text += 2;
    }
    for (; **text != '\0' && **text != ','; ++*text, digits++) {
        int value = digit_value(**text);
        if (value < 0 || (uint64_t)value >= base || *number > (limit - (uint64_t)value) / base)
            return -1;
        *number = *number * base + (uint64_t)value;
    }
    if (digits == 0 || (**text == ',' && (*text)[1] == '\0'))
        return -1;
    if (**text == ',')
        ++*text;
    return 0;
}

/* A list of numbers into slots; those that it leaves out, but not the first ones, are 0. */
static int
numbers_get(const char *text, uint64_t limit, int least, int most, uint64_t *numbers)
{
    int count = 0;

    for (; *text != '\0'; count++)
        if (count == most || next_number(&text, limit, &numbers[count]) < 0)
            return -1;
    for (int i = count; i < most; i++)
        numbers[i] = 0;
    return count < least ? -1 : 0;
}

static int
number_get(const char *text, uint64_t limit, unsigned long *number)
{
    uint64_t value;

    if (numbers_get(text, limit, 1, 1, &value) < 0)
        return -1;
    *number = (unsigned long)value;
    return 0;
}

static int
groups_get(const char *text, struct order *order)
{
    size_t count = 0;
    uint64_t number;

    for (; *text != '\0'; groups[count++] = (gid_t)number)
        if (count == sizeof groups / sizeof *groups || next_number(&text, UINT32_MAX, &number) < 0)
            return -1;
    order->step.kind = STEP_SETGROUPS;
    order->step.groups.count = count;
    order->step.groups.list = groups;
    return 0;
}

static int
ids_get(const char *text, struct order *order, enum step_kind kind)
{
    uint64_t ids[3];

    if (numbers_get(text, UINT32_MAX, 3, 3, ids) < 0)
        return -1;
    order->step.kind = kind;
    for (int i = 0; i < 3; i++)
        order->step.ids[i] = (uid_t)ids[i];
    return 0;
}

static int
gids_get(const char *text, struct order *order)
{
    return ids_get(text, order, STEP_SETRESGID);
}

static int
uids_get(const char *text, struct order *order)
{
    return ids_get(text, order, STEP_SETRESUID);
}

static int
sets_get(const char *text, struct order *order)
{
    order->step.kind = STEP_CAPSET;
    return numbers_get(text, UINT64_MAX, 3, 3, order->step.sets);
}

static int
call_get(const char *text, struct order *order)
{
    uint64_t call[5];

    if (numbers_get(text, ULONG_MAX, 1, 5, call) < 0)
        return -1;
    order->step.kind = STEP_PRCTL;
    for (int i = 0; i < 5; i++)
        order->step.call[i] = (unsigned long)call[i];
    return 0;
}

static int
program_get(const char *text, struct order *order)
{
    unsigned char *bytes = (unsigned char *)filter;
    size_t size = size_of(text), count = size / 2;

    if (size % 2 != 0 || count == 0 || count % sizeof *filter != 0 || count > sizeof filter)
        return -1;
    for (size_t i = 0; i < count; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    program.len = (unsigned short)(count / sizeof *filter);
    order->step.kind = STEP_PRCTL;
    order->step.call[0] = 22; /* PR_SET_SECCOMP */
    order->step.call[1] = SECCOMP_MODE_FILTER;
    order->step.call[2] = (unsigned long)&program;
    order->step.call[3] = order->step.call[4] = 0;
    return 0;
}

static int
int_get(const char *text, struct order *order)
{
    return number_get(text, INT_MAX, &order->number);
}

static int
file_get(const char *text, struct order *order)
{
    order->file = text;
    return 0;
}

static const struct form {
    char name[12];
    enum kind kind;
    int (*get)(const char *text, struct order *order);
} forms[] = {
    {"setgroups=", STEP, groups_get}, {"setresgid=", STEP, gids_get}, {"setresuid=", STEP, uids_get},
    {"capset=", STEP, sets_get},      {"prctl=", STEP, call_get},     {"seccomp=", STEP, program_get},
    {"parent=", PARENT, int_get},     {"exec=", EXEC, file_get},      {"report=", REPORT, int_get},
    {"close=", CLOSE, int_get},
};

static int
order_get(const char *argument, struct order *order)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *value = behind(argument, forms[i].name);
        if (value != NULL) {
            order->kind = forms[i].kind;
            return forms[i].get(value, order);
        }
    }
    return -1;
}

/*
 * The command
 */

static const char *
search_path(void)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        const char *value = behind(*variable, "PATH=");
        if (value != NULL)
            return value;
    }
    return "/bin:/usr/bin"; /* os.defpath */
}

/* Returns an errno. */
static int
execute_from(const char *folder, size_t size, const char *file, char **arguments)
{
    static char path[PATH_MAX];
    size_t used_up = 0;

    if (size + size_of(file) + 2 > sizeof path)
        return ENAMETOOLONG;
    while (used_up < size)
        path[used_up++] = *folder++;
    if (size > 0 && path[size - 1] != '/')
        path[used_up++] = '/';
    do
        path[used_up++] = *file;
    while (*file++ != '\0');
    syscall(SYS_execve, path, arguments, environ);
    return errno;
}

/* As os.execvpe() and subprocess do it: the first error but "not there" is the one to tell. Returns an errno. */
static int
execute(const char *file, char **arguments)
{
    int told = 0, error;

    if (file[size_until(file, '/')] == '/') {
        syscall(SYS_execve, file, arguments, environ);
        return errno;
    }
    for (const char *folder = search_path();; folder++) {
        size_t size = size_until(folder, ':');
        error = execute_from(folder, size, file, arguments);
        if (error != ENOENT && error != ENOTDIR && told == 0)
            told = error;
        folder += size;
        if (*folder == '\0')
            return told != 0 ? told : error;
    }
}

/*
 * In order
 */

/* Returns 0 or an errno. */
static int
take(const struct order *order)
{
    long parent;

    switch (order->kind) {
    case STEP:
        return step_run(&order->step);
    case PARENT:
        /* After PR_SET_PDEATHSIG: who dies later than this sends the signal. 0 is a parent in another pid namespace. */
        parent = syscall(SYS_getppid);
        return parent == 0 || parent == (long)order->number ? 0 : ESRCH;
    case REPORT:
        return syscall(SYS_fcntl, (int)order->number, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
    case CLOSE:
        return syscall(SYS_close, (int)order->number) < 0 ? errno : 0;
    case EXEC:
        break;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct order order;
    const char *file = NULL;
    int end, error;

    for (end = 1; end < argc && !(argv[end][0] == '-' && argv[end][1] == '-' && argv[end][2] == '\0'); end++) {
        if (order_get(argv[end], &order) < 0)
            fail(end, argv[end], NULL, EINVAL, FAILED);
        if (order.kind == REPORT)
            report_to = (int)order.number;
        if (order.kind == EXEC)
            file = order.file;
    }
    if (end + 1 >= argc)
        fail(end, "no command", NULL, EINVAL, FAILED);
    for (int place = 1; place < end; place++) {
        error = order_get(argv[place], &order) < 0 ? EINVAL : take(&order);
        if (error != 0)
            fail(place, argv[place], &order.step, error, FAILED);
    }
    if (file == NULL)
        file = argv[end + 1];
    error = execute(file, argv + end + 1);
    fail(end, file, NULL, error, error == ENOENT || error == ENOTDIR ? NOT_FOUND : CANNOT_EXECUTE);
}
