#pragma once
// The bare lock between processes.

#include "workers.hpp"

#include <pthread.h>

namespace coproc::bench {

class robust_mutex {
 public:
    robust_mutex() {
        ::pthread_mutexattr_t kind;
        ::pthread_mutexattr_init(&kind);
        ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
        must(::pthread_mutex_init(&mutex_, &kind) == 0);
    }
    void lock() { must(::pthread_mutex_lock(&mutex_) == 0); }
    void unlock() { ::pthread_mutex_unlock(&mutex_); }

 private:
    ::pthread_mutex_t mutex_;
};

}  // namespace coproc::bench
