#pragma once

// Catch2 3 where the system has it, 2.13 otherwise (Debian 12).
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
