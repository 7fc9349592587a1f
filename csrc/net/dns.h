/*
 * Names and addresses of hosts, through the system's resolver.
 */
#ifndef TIDE_DNS_H
#define TIDE_DNS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_dns_functions[];

#pragma GCC visibility pop

#endif
