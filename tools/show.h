/* A picture on standard output. */
#ifndef USP_TOOLS_SHOW_H
#define USP_TOOLS_SHOW_H

#include "tools/picture.h"

void show_text(const struct picture *picture);
void show_json(const struct picture *picture);
void show_summary(const struct picture *picture); /* one line */

#endif
