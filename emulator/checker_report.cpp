// Findings in words: who did what where in the source, once for each access in the code.
#include "checker_state.h"
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <set>
#include <unistd.h>

namespace emu {
static std::set<std::tuple<std::string, uint32_t, uint32_t>> &reported =
    *new std::set<std::tuple<std::string, uint32_t, uint32_t>>;
void checker_clear_reports() {
    reported.clear();
}

static uintptr_t image() {
    static const uintptr_t base = [] {
        Dl_info info;
        dladdr(reinterpret_cast<void *>(&checker_clear_reports), &info);
        return reinterpret_cast<uintptr_t>(info.dli_fbase);
    }();
    return base;
}
uint32_t checker_code(const void *return_address) {
    return uint32_t(reinterpret_cast<uintptr_t>(return_address) - image());
}

// The innermost line, and those it was inlined into, as far as addr2line of binutils is there to say so.
static std::string ask_addr2line(uint32_t code) {
    char program[512], command[700], line[512];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    snprintf(command, sizeof command, "addr2line -s -i -e '%s' 0x%x 2>/dev/null", program, code - 1);
    std::string text;
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe)) {
        line[strcspn(line, " \n")] = 0;
        text += text.empty() ? line : std::string(" in ") + line;
    }
    if (pipe) pclose(pipe);
    return text.empty() ? format("code 0x%x", code) : text;
}
static const std::string &source(uint32_t code) {
    static std::map<uint32_t, std::string> &known = *new std::map<uint32_t, std::string>;
    std::string &text = known[code];
    if (text.empty()) text = ask_addr2line(code);
    return text;
}
void checker_report(const char *what, const CheckedAccess &access, const Access4 *other, bool stops) {
    if (!reported.insert({what, access.code, other ? other->code : 0}).second && !stops) return;
    std::string text =
        format("%s: %s of %zu bytes at %p by %s at %s", what, access.write ? "write" : "read", access.bytes,
               access.address, describe(running).c_str(), source(access.code).c_str());
    if (other)
        text += format("; earlier %s%s by %s at %s", other->atomic ? "atomic " : "",
                       other->write ? "write" : "read",
                       describe_thread(running->block->cluster->grid->launch, other->thread).c_str(),
                       source(other->code).c_str());
    if (stops) fatal(cudaErrorIllegalAddress, text);
    report(cudaErrorLaunchFailure, text);
}
} // namespace emu
