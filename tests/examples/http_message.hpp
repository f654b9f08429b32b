#pragma once
// HTTP's messages as Boost.Beast has them, and their bytes.

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffer_traits.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace http = boost::beast::http;
using http_request = http::request<http::string_body>;
using http_response = http::response<http::string_body>;

inline http_response http_text(http::status status, std::string text) {
    http_response made(status, 11, std::move(text));
    made.set(http::field::content_type, "text/plain");
    return made;
}

/// "Not Found", and why else there is nothing.
inline http_response http_reason(http::status why) {
    const auto reason = http::obsolete_reason(why);
    return http_text(why, std::string(reason.data(), reason.size()) + "\n");
}

/// What the parser has refused.
inline http::status http_status_of(const boost::system::error_code& failed) {
    if (failed == http::error::header_limit) return http::status::request_header_fields_too_large;
    if (failed == http::error::body_limit) return http::status::payload_too_large;
    if (failed == http::error::bad_version) return http::status::http_version_not_supported;
    return http::status::bad_request;
}

enum class http_part { all, header };

template <class Body>
std::string http_bytes(http::response<Body>& answer, http_part wanted) {
    http::response_serializer<Body> from(answer);
    from.split(wanted == http_part::header);
    std::string bytes;
    boost::system::error_code failed;
    while (!from.is_done() && !(wanted == http_part::header && from.is_header_done())) {
        from.next(failed, [&](boost::system::error_code&, const auto& buffers) {
            bytes += boost::beast::buffers_to_string(buffers);
            from.consume(boost::beast::buffer_bytes(buffers));
        });
    }
    return bytes;
}

inline std::string http_chunk(std::string_view text) {
    const boost::asio::const_buffer content(text.data(), text.size());
    return boost::beast::buffers_to_string(http::make_chunk(content));
}
inline std::string http_last_chunk() {
    return boost::beast::buffers_to_string(http::make_chunk_last());
}
