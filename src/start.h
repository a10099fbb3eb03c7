/*
 * The start of a program, and system calls, without a C library. That saves half a millisecond of start-up: under a
 * hypervisor each CPUID instruction is a trap, and libc makes many. It also means that the launcher starts where there
 * are no libraries (after a chroot), and whatever LD_ variables the command is given.
 *
 * Compiled with WITH_LIBC, or for another architecture, it leaves all this to libc.
 */
#ifndef START_H
#define START_H

#include <stdarg.h>
#include <sys/syscall.h>

int main(int argc, char **argv);

#if !defined WITH_LIBC && defined __x86_64__ && defined __LP64__
__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "    xorl %ebp, %ebp\n"
        "    movq %rsp, %rdi\n"
        "    andq $-16, %rsp\n"
        "    call start\n");
#elif !defined WITH_LIBC && defined __aarch64__ && defined __LP64__
__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    bl start\n");
#elif !defined WITH_LIBC
#define WITH_LIBC
#endif

#ifdef WITH_LIBC

extern char **environ;

#else

static char **environ;
static int error_number;

/* What errno is made of, in glibc and in musl. */
int *
__errno_location(void)
{
    return &error_number;
}

static long
raw_call(long number, const long a[5])
{
#if defined __x86_64__
    register long fourth __asm__("r10") = a[3];
    register long fifth __asm__("r8") = a[4];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long called __asm__("x8") = number;
    register long first __asm__("x0") = a[0];
    register long second __asm__("x1") = a[1];
    register long third __asm__("x2") = a[2];
    register long fourth __asm__("x3") = a[3];
    register long fifth __asm__("x4") = a[4];
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(called), "r"(second), "r"(third), "r"(fourth), "r"(fifth)
                     : "memory");
    return first;
#endif
}

/* As libc's, for up to five arguments. */
long
syscall(long number, ...)
{
    long a[5], result;
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 5; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    result = raw_call(number, a);
    if (result >= 0 || result < -4095)
        return result;
    error_number = (int)-result;
    return -1;
}

#endif

static _Noreturn void
leave(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

#ifndef WITH_LIBC
/* The kernel leaves argc, argv and the environment on the stack, one behind the other. */
__attribute__((used)) static _Noreturn void
start(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);

    environ = argv + argc + 1;
    leave(main(argc, argv));
}
#endif

#endif
