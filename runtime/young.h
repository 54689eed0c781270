/* Static data that a fork makes its two sides write to lies together: each page of it is copied once for every worker
   that is born. Only what is small, and written to in each birth, belongs here. */
#ifndef USP_RUNTIME_YOUNG_H
#define USP_RUNTIME_YOUNG_H

#define USP_YOUNG __attribute__((section("usp_young")))

#endif
