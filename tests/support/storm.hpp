#pragma once
// Children that are killed at random and started again, all the time.
//
//   storm one(seed);
//   one.add("consumer", 3, [&](long number) { return process(consume, q, number); });
//   co_await one.rage();          // and when it returns, all are dead and repaired for
//   CHECK(lost <= one.kills("consumer"));

#include <coproc/process.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace coproc::testing {

class storm {
 public:
    /// A worker with a number that no other has had.
    using maker = std::function<process(long number)>;

    explicit storm(std::uint64_t seed) : random_(seed) {}

    void add(const std::string& kind, int count, maker make);
    /// Two seconds, or a minute in the long tests.
    static std::chrono::seconds usual_length();
    task<void> rage(std::chrono::milliseconds length = usual_length());
    /// How many of a kind have been killed.
    int kills(const std::string& kind) const { return kills_.at(kind); }
    int kills() const;
    /// How many ended before they were killed: with status 0 only if their work had an end.
    int failures() const noexcept { return failures_; }

 private:
    struct place {
        std::string kind;
        maker make;
        process worker;
    };

    task<void> start(place& here);
    task<void> kill(place& here);

    std::mt19937_64 random_;
    std::vector<place> places_;
    std::map<std::string, int> kills_;
    long last_number_ = 0;
    int failures_ = 0;
};

/// From COPROC_TEST_SEED, or by chance; a failed storm says it.
std::uint64_t storm_seed();

}  // namespace coproc::testing
