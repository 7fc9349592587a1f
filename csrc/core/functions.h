/*
 * The functions of those files that have nothing else to tell.
 */
#ifndef TIDE_FUNCTIONS_H
#define TIDE_FUNCTIONS_H

#include <lauxlib.h>

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_check_functions[], tide_contents_functions[], tide_dns_functions[],
    tide_os_functions[], tide_pipe_functions[], tide_traceback_functions[], tide_tree_functions[];

#pragma GCC visibility pop

#endif
