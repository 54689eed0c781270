/* check_json FILE: is it what ../docs/performance.md says of the suite's JSON? Prints how many
   figures it has; exits with 1 and a line if not. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *get(json_t *object, const char *key, json_type type)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_typeof(value) != type) {
        fprintf(stderr, "\"%s\" is missing or of another type\n", key);
        exit(1);
    }
    return value;
}

static size_t check_case(json_t *its_case)
{
    static const char *const numbers[] = {"median", "q1", "q3", "least", "most"};
    json_t *figures = get(its_case, "figures", JSON_ARRAY), *figure, *goal;
    size_t i;
    get(its_case, "case", JSON_STRING);
    get(its_case, "title", JSON_STRING);
    get(its_case, "on", JSON_STRING);
    get(its_case, "unit", JSON_STRING);
    json_array_foreach(figures, i, figure)
    {
        get(figure, "who", JSON_STRING);
        get(figure, "rounds", JSON_INTEGER);
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            if (!json_is_number(json_object_get(figure, numbers[k]))) {
                fprintf(stderr, "\"%s\" is no number\n", numbers[k]);
                exit(1);
            }
    }
    json_array_foreach(get(its_case, "goals", JSON_ARRAY), i, goal)
    {
        get(goal, "goal", JSON_STRING);
        if (!json_is_boolean(json_object_get(goal, "reached")))
            exit(1);
    }
    return json_array_size(figures);
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *root = argc == 2 ? json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!root) {
        fprintf(stderr, "%s\n", argc == 2 ? error.text : "usage: check_json FILE");
        return 1;
    }
    size_t n = 0, i, k, j;
    json_t *section, *panel, *its_case;
    get(root, "schema", JSON_STRING);
    get(root, "machine", JSON_OBJECT);
    get(root, "participants", JSON_OBJECT);
    json_array_foreach(get(root, "sections", JSON_ARRAY), i, section)
    {
        json_array_foreach(get(section, "panels", JSON_ARRAY), k, panel)
        {
            get(panel, "growth", JSON_ARRAY);
            json_array_foreach(get(panel, "cases", JSON_ARRAY), j, its_case) n +=
                check_case(its_case);
        }
    }
    json_decref(root);
    printf("%zu\n", n);
    return n == 0;
}
