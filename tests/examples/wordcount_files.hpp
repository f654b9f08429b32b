#pragma once
// What wordcount does with files; nothing here knows of processes.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

struct counts {
    std::uint64_t lines = 0;
    std::uint64_t words = 0;
    std::uint64_t bytes = 0;
    int error = 0;  // errno, if not all of the file could be read

    void operator+=(const counts& more) {
        lines += more.lines;
        words += more.words;
        bytes += more.bytes;
    }
};

/// A word is a run of non-blank bytes of which at least one is printable.
struct byte_class {
    std::uint8_t begins_word;
    std::uint8_t keeps_word;
    std::uint8_t ends_line;
};

inline constexpr auto byte_classes = [] {
    std::array<byte_class, 256> table{};
    for (unsigned byte = 0; byte < table.size(); ++byte) {
        const bool blank = byte == ' ' || (byte >= '\t' && byte <= '\r');
        table[byte] = {byte > ' ' && byte <= '~', !blank, byte == '\n'};
    }
    return table;
}();

inline counts count_file(const std::string& name, std::span<unsigned char> buffer) {
    counts sum;
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t size = fd;
    unsigned in_word = 0;
    while (size >= 0 && (size = ::read(fd, buffer.data(), buffer.size())) > 0) {
        const auto read = static_cast<std::size_t>(size);
        sum.bytes += read;
        for (const unsigned char byte : buffer.first(read)) {
            const byte_class is = byte_classes[byte];
            sum.lines += is.ends_line;
            sum.words += is.begins_word & ~in_word;
            in_word = (in_word & is.keeps_word) | is.begins_word;
        }
    }
    if (size < 0) sum.error = errno;
    if (fd >= 0) ::close(fd);
    return sum;
}

/// All regular files under some paths, one at a time. Symbolic links are not followed.
class file_walk {
 public:
    struct found {
        std::string path;
        std::uint64_t size = 0;
        std::error_code error;  // why this file or folder cannot be looked at
    };

    explicit file_walk(std::span<char* const> paths) : paths_(paths) {}

    std::optional<found> next() {
        while (!inside_.empty() || !paths_.empty()) {
            std::error_code error;
            std::filesystem::directory_entry entry;
            if (inside_.empty()) {
                entry.assign(paths_.front(), error);
                paths_ = paths_.subspan(1);
            } else if (inside_.back() == std::filesystem::directory_iterator()) {
                inside_.pop_back();
                continue;
            } else {
                entry = *inside_.back();
                inside_.back().increment(error);
                if (error) return found{entry.path().parent_path(), 0, error};
            }
            const auto type = entry.symlink_status(error).type();
            if (type == std::filesystem::file_type::regular) {
                const auto size = entry.file_size(error);
                return found{entry.path(), error ? 0 : size, error};
            }
            if (type == std::filesystem::file_type::directory) {
                inside_.emplace_back(entry.path(), error);
            }
            if (error) return found{entry.path(), 0, error};
        }
        return std::nullopt;
    }

 private:
    std::span<char* const> paths_;
    std::vector<std::filesystem::directory_iterator> inside_;
};
