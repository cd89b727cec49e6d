# headroom: the commands of every day. CMake does the work; see CMakePresets.json for its builds.
#
#   make                         build the library, its command and its examples (build/release)
#   make demo [TUNED=1] [SEED=n] the same server, the same load, the same limit: with headroom and without
#   make test                    what every change must pass; some minutes
#   make test-asan, test-tsan    the same under a sanitizer
#   make test-release            what debug builds do not have: stocks of bytes in threads
#   make survive [RUNS=1000] [ALLOCATOR=all] [SEED=n]  random programs in cgroups, from where it was left; or one SEED
#   make test-vm                 the cgroup tests on cgroup v2, in a virtual machine
#   make fuzz [FUZZ_SECONDS=60]  let each fuzz target look for new inputs for so long
#   make nightly                 the long tests, the fuzz targets, and the tests in the virtual machine
#   make bench                   measure, and hold the figures against the goals
#   make analysis                hold trends against known truth again, and renew the table in docs/analysis.md
#   make docs                    the manual as a site, in build/site
#   make install [PREFIX=/usr/local] [LIBDIR=lib] [DESTDIR=], make uninstall with the same words
#   make dist                    a release tarball in build/, of what is committed
#   make packages                Debian packages in build/packages: checked, installed into a copy of this system
#   make format                  clang-format on every source
#   make clean                   remove build/

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?=
TUNED ?=
SEED ?=
CTEST_OPTIONS ?=
FUZZ_SECONDS ?= 60
RUNS ?= $(if $(SEED),1,1000)
ALLOCATOR ?= all
JOBS ?= $(shell nproc)

# `sudo make demo` in a user's folder builds as the owner of the folder. Otherwise build/ would belong to root, and the
# user's next `make` would fail. Packages are installed, and tests and the demo run, with the rights of the caller.
# The list of installed files, which root writes there, is given to the owner.
owner := $(shell stat -c %u:%g . 2>/dev/null)
ifeq ($(shell id -u)$(filter 0:%,$(owner)),0)
as_owner := setpriv --reuid=$(firstword $(subst :, ,$(owner))) --regid=$(lastword $(subst :, ,$(owner))) \
    --clear-groups --
endif
cmake := $(as_owner) cmake

.PHONY: release demo test test-asan test-tsan test-release survive test-vm fuzz nightly bench analysis programs
.PHONY: docs install uninstall dist packages format clean

release:
	scripts/setup build
	$(cmake) --preset release $(if $(LIBDIR),-DCMAKE_INSTALL_LIBDIR="$(LIBDIR)")
	$(cmake) --build --preset release --parallel $(JOBS) --target product

demo:
	scripts/setup build demo
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS) --target product
	HEADROOM_BUILD_DIR="$(CURDIR)/build/release" HEADROOM_DEMO_PAGE="$(CURDIR)/build/demo.html" \
	    TUNED="$(TUNED)" SEED="$(SEED)" bash examples/store/demo.sh

test:
	scripts/setup build demo test
	$(cmake) --preset dev
	$(cmake) --build --preset dev --parallel $(JOBS)
	ctest --preset dev --parallel $(JOBS) $(CTEST_OPTIONS)

# The same with a sanitizer: AddressSanitizer and UBSan on the unit tests, ThreadSanitizer on the threaded ones.
test-asan: setup_more := fuzz
test-asan test-tsan test-release: test-%:
	scripts/setup build demo test $(setup_more)
	$(cmake) --preset $*
	$(cmake) --build --preset $* --parallel $(JOBS)
	ctest --preset $* --parallel $(JOBS) $(CTEST_OPTIONS)

# A repeated run is not logged, so that it does run again.
survive:
	scripts/setup build demo test
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS)
	HEADROOM_BUILD_DIR="$(CURDIR)/build/release" SEED="$(SEED)" tests/kills/run.py --runs $(RUNS) \
	    --allocator $(ALLOCATOR) $(if $(SEED),,--log build/release/survive.log) storm

nightly:
	scripts/setup build demo test nightly
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS)
	ctest --preset nightly
	$(MAKE) fuzz
	$(MAKE) test-vm
	tests/models/models.sh full

fuzz:
	scripts/setup build demo test fuzz
	$(cmake) --preset asan -DHEADROOM_FUZZ_SECONDS=$(FUZZ_SECONDS)
	$(cmake) --build --preset asan --parallel $(JOBS) --target tests-fuzz
	ctest --preset fuzz --parallel $(JOBS)

# Peers and instruction counts are left out where they cannot be installed; bench/run says so.
test-vm:
	scripts/setup build test vm
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS)
	bash tests/vm/run.sh build/release

bench:
	scripts/setup build demo
	scripts/setup bench || true
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS)
	bench/run

analysis:
	scripts/setup build test
	$(cmake) --preset release
	$(cmake) --build --preset release --parallel $(JOBS)
	build/release/tests/report/test_truth --table >build/release/table.md
	sed -i -e '/<!-- table -->/,/<!-- end -->/{//!d}' -e '/<!-- table -->/r build/release/table.md' docs/analysis.md

programs: release
	python3 tests/programs/run.py --build build/release --markdown docs/programs.md
	python3 tests/programs/servers.py --build build/release

# Pages and reference; a warning is an error.
docs:
	scripts/setup docs
	$(as_owner) mkdocs build --strict --quiet
	@echo "build/site/index.html"

# The loader finds a new library only once ldconfig has seen it; a package does that when it is installed.
install: release
	DESTDIR="$(DESTDIR)" cmake --install build/release --strip --prefix "$(PREFIX)"
	if [ -e build/release/install_manifest.txt ]; then chown --reference=Makefile build/release/install_manifest.txt; fi
	if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

# Removes the files that `cmake --install` has listed, and the folders of ours that are empty then.
uninstall:
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/uninstall build/release

dist:
	scripts/dist

packages:
	scripts/setup build package
	tests/packages/run.sh build/packages

format:
	scripts/setup check
	find $(wildcard include src cli run examples bench fuzz tests) \
	    -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.hpp' | xargs clang-format -i

clean:
	rm -rf build
