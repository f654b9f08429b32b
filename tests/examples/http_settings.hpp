#pragma once
// What http_server can be told on its command line.

#include <getopt.h>

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

struct settings {
    int port = 8080;       // 0: any that is free
    int slots = 2;         // children at the same time
    int queue = 16;        // requests that wait for one
    int deadline = 2'000;  // ms, of a request with its time in the queue, and of a piece
    int memory = 512;      // MB of address space of a child; 0: no limit
    int grace = 10'000;    // ms, for clients to get what they have asked for before SIGTERM
};

inline constexpr char usage[] =
    "usage: http_server [--port N] [--slots N] [--queue N] [--deadline MS] [--memory MB] "
    "[--grace MS]\n";

/// A number from 0 on, and nothing else.
inline std::optional<long> to_number(std::string_view text) {
    long number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

/// Empty if they make no sense.
inline std::optional<settings> parse_settings(int argc, char** argv) {
    constexpr std::array members{&settings::port,     &settings::slots,  &settings::queue,
                                 &settings::deadline, &settings::memory, &settings::grace};
    constexpr std::array<::option, members.size() + 1> options{{
        {"port", required_argument, nullptr, 0},
        {"slots", required_argument, nullptr, 0},
        {"queue", required_argument, nullptr, 0},
        {"deadline", required_argument, nullptr, 0},
        {"memory", required_argument, nullptr, 0},
        {"grace", required_argument, nullptr, 0},
        {},
    }};
    settings chosen;
    int which = 0;
    for (int next; (next = ::getopt_long(argc, argv, "", options.data(), &which)) != -1;) {
        const auto number = next == 0 ? to_number(::optarg) : std::nullopt;
        if (!number || *number > 1'000'000) return std::nullopt;
        chosen.*members[static_cast<std::size_t>(which)] = static_cast<int>(*number);
    }
    const bool sensible = ::optind == argc && chosen.port <= 65'535 && chosen.slots > 0;
    return sensible ? std::optional(chosen) : std::nullopt;
}
