/*
 * For a process under ThreadSanitizer, before the sanitizer's own library: a thread that waits for a mutex takes signals.
 *
 * The sanitizer keeps a signal back until the thread comes to another function of libc's, unless it knows that the thread
 * may wait in this one; and gcc's, at least to version 12, does not know it of pthread_mutex_lock(). So one thread stood
 * still in the handler of src/threads.c with the mutex of the GIL, another one waited for that mutex, and the sender for
 * the answer of the second. Here the one that waits comes to another function again and again.
 *
 * What that costs is the sanitizer's search for mutexes that are taken in different orders; the library has only one.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
    const struct timespec pause = {.tv_nsec = 100000};
    int error, before = errno;

    while ((error = pthread_mutex_trylock(mutex)) == EBUSY)
        (void)nanosleep(&pause, NULL);
    errno = before;
    return error;
}
