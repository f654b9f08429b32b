#include "support/sandbox.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>

namespace coproc::testing {

bool refuse_call(long number, int failure, std::uint32_t flags) {
    // The lower half of the argument: x86-64 and other little-endian machines.
    const std::uint32_t first_argument = offsetof(::seccomp_data, args);
    const auto call = static_cast<std::uint32_t>(number);
    const auto refusal = SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(failure) & 0xffff);
    const unsigned char to_the_end = flags == 0 ? 0 : 1;
    std::array<::sock_filter, 6> program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(::seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_argument),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, to_the_end),
        BPF_STMT(BPF_RET | BPF_K, refusal),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const ::sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace coproc::testing
