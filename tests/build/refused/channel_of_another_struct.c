/* Two structures of one shape are two types. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

struct celsius { double degrees; };
struct fahrenheit { double degrees; };

PROCESS(heater, OUT(struct celsius, out))
{
    WRITE(out, (struct celsius){20});
}

int main(void)
{
#ifdef WRONG
    CHAN(struct fahrenheit) c = CHANNEL(struct fahrenheit);
#else
    CHAN(struct celsius) c = CHANNEL(struct celsius);
#endif
    return CO(heater(c));
}
