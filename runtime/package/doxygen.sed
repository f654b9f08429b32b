# What Doxygen does not know of the headers' style.

# The comment that a header opens with describes the file; what is indented in it is code.
/^#pragma once/,/^($|#include)/ {
  s|^#pragma once|/// \\file|
  s|^//   (.*)|///     \1|
  s|^//([^/].*)?$|///\1|
}

# What is in namespace detail is nobody's business, but for the functions of queues.
/^namespace (coproc::)?detail \{/ {
  :detail
  N
  /^namespace detail \{\n[^{}]*\n\}$/ d
  /\n\}  \/\/ namespace (coproc::)?detail$/ ! b detail
  s|^.*(\ntemplate <class T>\nclass typed_queue.*\n\};).*$|\1|
  t queue
  d
  :queue
}
/^template <class T>$/ {
  N
  /\n(task|generator)<.*> detail::/ {
    :function
    N
    /\n\}$/ ! b function
    d
  }
}
/^inline task<void> detail::/,/^\}/ d
s|detail::typed_queue|typed_queue|g

# Labels are paragraphs. Types are no HTML, in code it takes them as they are.
s!(^|\n)( *///) (Requires|Lifetime|Cancellation|Errors): *!\1\2 \\par \3\n\2 !g
/^ *\/\/\/[^`]*$/ s|<([A-Za-z_:]+)>|\\<\1\\>|g
