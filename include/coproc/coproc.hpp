#pragma once
// All of coproc; each header also stands alone.

#include <coproc/bytes.hpp>
#include <coproc/codec.hpp>
#include <coproc/connection.hpp>
#include <coproc/error.hpp>
#include <coproc/event.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/generator.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/log.hpp>
#include <coproc/offload.hpp>
#include <coproc/process.hpp>
#include <coproc/process_options.hpp>
#include <coproc/queue.hpp>
#include <coproc/readiness.hpp>
#include <coproc/result.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/task.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>
#include <coproc/when_any.hpp>
