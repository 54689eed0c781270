/* sieve: prime numbers by a pipeline that grows.

   `numbers` sends 2, 3, 4, ... Each filter takes the first number that reaches it: nothing before
   it has divided that one, so it is a prime. The filter reports it, starts the next filter behind
   itself, and from then on passes on what its prime does not divide:

     numbers --> [2] --> [3] --> [5] --> [7] --> ...
                  |       |       |       |
                  +-------+-------+-------+---> printer

   All filters write to the same channel. It ends backwards: when the printer has enough it
   returns, the next filter that reports a prime meets a retired channel and ends, which retires
   its input, and so on up to `numbers`. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: sieve [primes] [workers]\n"
    "\n"
    "Prints the first `primes` (100) prime numbers, found by a pipeline that adds a\n"
    "process to itself for each of them.\n"
    "  workers   each filter is a forked worker, started with SPAWN (at most 200), not a light\n"
    "            process, started with GO\n";

PROCESS(numbers, OUT(int, out))
{
    for (int i = 2;; i++)
        WRITE(out, i);
}

PROCESS(filter, IN(int, in), OUT(int, primes), VAL(bool, workers))
{
    int prime = READ(in);
    WRITE(primes, prime);

    CHAN(int) c = CHANNEL(int);
    OUT_END(int) next = OUT_OF(c);
    if (workers)
        SPAWN(filter(c, primes, workers));
    else
        GO(filter(c, primes, workers));

    for (;;) {
        int n = READ(in);
        if (n % prime != 0)
            WRITE(next, n);
    }
}

static bool is_prime(int n)
{
    for (int i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return n > 1;
}

PROCESS(printer, IN(int, primes), VAL(int, count))
{
    for (int i = 0, last = 1; i < count; i++) {
        int prime = READ(primes);
        printf("%6d%c", prime, i % 10 == 9 || i == count - 1 ? '\n' : ' ');

        for (int n = last + 1; n < prime; n++)
            demo_expect(!is_prime(n), "a prime is missing");
        demo_expect(is_prime(prime), "this is no prime");
        last = prime;
    }
}

int main(int argc, char **argv)
{
    bool workers = demo_word(&argc, argv, "workers");
    demo_args(argc, argv, 1, help);
    int count = demo_size(argc, argv, 1, 100, 1, workers ? 200 : 100000);

    CHAN(int) c = CHANNEL(int), primes = CHANNEL(int);
    return PAR(numbers(c), filter(c, primes, workers), printer(primes, count)) != 0;
}
