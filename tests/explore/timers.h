/* Timers under control: a limit that no test waits for (an hour) is not armed but noted, and goes
   off when the test has it do so. For programs linked with --wrap=usp_timer_arm and
   --wrap=usp_sources_disarm. */
#ifndef TESTS_EXPLORE_TIMERS_H
#define TESTS_EXPLORE_TIMERS_H

enum { AN_HOUR = 3600 };

/* Of this worker. */
extern unsigned timers_armed;
/* One goes off; its actor may have met somebody before. */
void timer_goes_off(unsigned which);

#endif
