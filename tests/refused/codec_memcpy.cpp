// expect: enable_memcpy is for trivially copyable types
#include <coproc/codec.hpp>

#include <string>

class account {
    std::string name_;
};
template <>
inline constexpr bool coproc::enable_memcpy<account> = true;

void f(coproc::encoder& out, const account& a) { out.put(a); }
