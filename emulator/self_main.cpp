// Runs the emulator's own tests with several seeds. A planted fault that is not caught fails, and so does a
// finding where none was planted.   usage: PROGRAM [SEEDS [NAME]]
#include "self.h"
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace self_test {
int failures = 0;
std::vector<Case> &cases() {
    static std::vector<Case> all;
    return all;
}
bool check(bool good, const char *file, int line, const char *what) {
    if (good) return true;
    static std::set<std::string> said; // of many in a loop the first is enough
    failures++;
    if (!said.insert(what).second) return false;
    printf("%s:%d, seed %d: %s\n", file, line, int(emu_option.seed), what);
    return false;
}

static void run_test(const Case &test) {
    test.run();
    (void)cudaDeviceSynchronize();
    const std::string findings = emu_take_findings();
    if (findings.empty()) return;
    failures++;
    printf("%s, seed %d: findings where none was planted:\n%s", test.name, int(emu_option.seed),
           findings.c_str());
}
static bool caught(const Case &fault) {
    const bool wrong = fault.run();
    (void)cudaDeviceSynchronize();
    const std::string findings = emu_take_findings();
    const bool found =
        fault.words ? !findings.empty() && findings.find(fault.words) != std::string::npos : wrong;
    if (!found && emu_is_checker)
        printf("%s, seed %d: not caught; findings: %s\n", fault.name, int(emu_option.seed),
               findings.empty() ? "none" : findings.c_str());
    return found;
}
static void run_fault(const Case &fault, int seeds) {
    int times = 0;
    for (int seed = 1; seed <= seeds; seed++) {
        emu_option.seed = uint64_t(seed);
        times += caught(fault);
    }
    const int wanted = emu_is_checker ? seeds : 1;
    if (times >= wanted) return;
    failures++;
    printf("fault %s was caught with %d of %d seeds, expected %d\n", fault.name, times, seeds, wanted);
}
} // namespace self_test

int main(int count, char **arguments) {
    using namespace self_test;
    const int seeds = count > 1 ? atoi(arguments[1]) : 4;
    const int build = (emu_is_checker ? CHECKER : PLAIN) | (emu::translate_call ? TRANSLATED : 0);
    int tests = 0, faults = 0;
    emu_option.verbose = count > 2;
    for (const Case &c : cases()) {
        if (count > 2 && strcmp(c.name, arguments[2]) != 0) continue;
        if (c.builds & build) {
            run_fault(c, seeds);
            faults++;
        }
        for (int seed = 1; !c.builds && seed <= seeds; seed++) {
            emu_option.seed = uint64_t(seed);
            emu_option.order = seed % 4 == 2   ? EMU_FIRST_IN_FIRST_OUT
                               : seed % 4 == 3 ? EMU_LAST_IN_FIRST_OUT
                                               : EMU_RANDOM;
            run_test(c);
            emu_option.order = EMU_RANDOM;
            tests += seed == 1;
        }
    }
    if (!tests && !faults) return printf("nothing ran\n"), 1;
    printf("%s build: %d tests, %d planted faults, %d seeds, %d failures\n",
           emu_is_checker ? "checker" : "plain", tests, faults, seeds, failures);
    return failures != 0;
}
