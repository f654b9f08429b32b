#pragma once
// The memory of one shared object: a sparse, sealed memfd that is mapped once, at its full size,
// so that growing is touching more of it and nobody ever maps again. It begins with a head that
// says what it is.

#include <coproc/detail/unique_fd.hpp>
#include <coproc/result.hpp>

#include <cstddef>
#include <cstdint>

namespace coproc::detail {

struct region_head {
    std::uint64_t magic;  ///< written last: a region without it was never finished
    std::uint64_t layout;
    std::uint64_t kind;
    std::uint64_t size;
};

/// What lies in a region; one who opens it says what he expects.
enum class region_kind : std::uint64_t {
    queue = 1,
    lock,
    semaphore,
    condition,
    barrier,
    memory,
    value,
    births
};

class region {
 public:
    static result<region> create(region_kind kind, std::size_t size);
    /// The maker has filled it in: others may open it.
    void finish() noexcept;
    /// Errors: errc::bad_message for what is no such region, or has no room for a Layout;
    /// errc::version_mismatch for one of another build of coproc.
    template <class Layout>
    static result<region> open(unique_fd file, region_kind kind) {
        return open(std::move(file), kind, sizeof(Layout));
    }

    region(region&& other) noexcept;
    region& operator=(region&& other) = delete;
    ~region();

    /// The object at the beginning, which derives from region_head.
    template <class T>
    T& as() const noexcept {
        return *reinterpret_cast<T*>(data_);
    }
    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    int fd() const noexcept { return file_.get(); }

 private:
    static result<region> open(unique_fd file, region_kind kind, std::size_t at_least);
    region(unique_fd file, std::byte* data, std::size_t size) noexcept
        : file_(std::move(file)), data_(data), size_(size) {}

    unique_fd file_;
    std::byte* data_;
    std::size_t size_;
};

}  // namespace coproc::detail
