// Finds the translation of a launched kernel by its name in this program's table of symbols, and lists at the
// program's end which kernels ran.
#include "ptx/ptx_kernels.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <link.h>
#include <map>
#include <string>
#include "emu_device.h"
#include "launch.h"

namespace ptx {
namespace {
std::map<std::string, const Kernel *> &kernels() {
    static auto &all = *new std::map<std::string, const Kernel *>;
    return all;
}

// ---- the program's symbols ----
uintptr_t load_address() {
    uintptr_t base = 0;
    dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *into) { // the program is the first
            *static_cast<uintptr_t *>(into) = info->dlpi_addr;
            return 1;
        },
        &base);
    return base;
}
template <class T> const T *at(const std::string &image, size_t offset) {
    return reinterpret_cast<const T *>(image.data() + offset);
}
std::map<uintptr_t, std::string> read_symbols() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::string image{std::istreambuf_iterator<char>(file), {}};
    const auto *header = at<ElfW(Ehdr)>(image, 0);
    const auto *sections = at<ElfW(Shdr)>(image, header->e_shoff);
    const uintptr_t base = load_address();
    std::map<uintptr_t, std::string> names;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        const auto *symbols = at<ElfW(Sym)>(image, sections[i].sh_offset);
        const char *text = at<char>(image, sections[sections[i].sh_link].sh_offset);
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++)
            if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC)
                names[base + symbols[k].st_value] = text + symbols[k].st_name;
    }
    return names;
}
std::string symbol_of(const void *function) {
    static const auto &names = *new std::map<uintptr_t, std::string>(read_symbols());
    const auto found = names.find(reinterpret_cast<uintptr_t>(function));
    return found == names.end() ? "a function without a symbol" : found->second;
}
const Kernel *find(const void *function) {
    static auto &known = *new std::map<const void *, const Kernel *>;
    const auto found = known.find(function);
    if (found != known.end()) return found->second;
    const auto kernel = kernels().find(symbol_of(function));
    return known[function] = kernel == kernels().end() ? nullptr : kernel->second;
}

// ---- launches ----
// Where only some kernels are translated, the others are g++'s.
bool others_by_host() {
    static const bool chosen = getenv("GRU_PTX_SOME") != nullptr;
    return chosen;
}
struct Translated final : emu::KernelCall {
    const Kernel &kernel;
    std::vector<unsigned char> parameters;
    Translated(const Kernel &k, std::vector<unsigned char> p) : kernel(k), parameters(std::move(p)) {}
    void operator()() const override { kernel.run(Parameters(parameters.data(), parameters.size())); }
};
emu::Call translated(const void *function, const emu::Call &call) {
    const Kernel *kernel = find(function);
    if (!kernel && others_by_host()) return call;
    if (!kernel) {
        emu::report(cudaErrorInvalidDeviceFunction, "there is no PTX of " + symbol_of(function));
        return nullptr;
    }
    std::vector<unsigned char> parameters(kernel->bytes);
    for (size_t i = 0; i < kernel->fields.size(); i++) {
        const emu::Argument argument = call->argument(i);
        const Field &field = kernel->fields[i];
        if (argument.bytes != field.bytes) {
            emu::report(cudaErrorInvalidValue,
                        emu::format("argument %zu has %zu bytes, and %zu in the PTX of %s", i + 1,
                                    argument.bytes, field.bytes, kernel->symbol));
            return nullptr;
        }
        memcpy(parameters.data() + field.offset, argument.data, field.bytes);
    }
    kernel->ran = true;
    return std::make_shared<Translated>(*kernel, std::move(parameters));
}

// ---- which ran ----
void write_ran() {
    const char *path = getenv("GRU_PTX_RAN"), *seed = getenv("GRU_EMU_SEED");
    if (!path) return;
    FILE *file = fopen((std::string(path) + "." + (seed ? seed : "1")).c_str(), "w");
    if (!file) return;
    for (const auto &kernel : kernels())
        if (kernel.second->ran) fprintf(file, "%s\n", kernel.first.c_str());
    fclose(file);
}
} // namespace

Kernel::Kernel(const char *s, void (*r)(const Parameters &), size_t b, std::vector<Field> f)
    : symbol(s), run(r), bytes(b), fields(std::move(f)) {
    if (kernels().empty()) {
        emu::translate_call = translated;
        atexit(write_ran);
    }
    if (kernels().emplace(s, this).second) return;
    fprintf(stderr, "emulator: two kernels have the symbol %s\n", s);
    abort();
}
emu::Call call_of(const char *symbol, std::vector<unsigned char> parameters) {
    const auto kernel = kernels().find(symbol);
    return kernel == kernels().end() ? nullptr
                                     : std::make_shared<Translated>(*kernel->second, std::move(parameters));
}
bool planted(const char *fault) {
    const char *wanted = getenv("GRU_TEST_FAULT");
    return wanted && strcmp(wanted, fault) == 0;
}
} // namespace ptx
