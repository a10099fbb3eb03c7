/* In every file of the library that has all mutants in it: they sleep, and tell who comes by. */
extern __attribute__((visibility("hidden"))) unsigned char *reached;
#define reach(number) (reached[number] = 1, 0)
