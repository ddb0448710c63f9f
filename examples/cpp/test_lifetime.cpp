// SPDX-License-Identifier: MIT
// Objects end in any order, also during calls, and leave no memory behind.
#include "tests.hpp"

#include <atomic>
#include <fstream>
#include <optional>
#include <thread>

#include <unistd.h>

namespace {

/// Resident memory in bytes; 0 where the system does not tell.
long resident() {
    std::ifstream file("/proc/self/statm");
    long total = 0, pages = 0;
    file >> total >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true; /* which keeps freed memory for a while */
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer);
#else
constexpr bool sanitized = false;
#endif

} // namespace

TEST_CASE("a thousand creations and destructions leave nothing behind") {
    test::setup s;
    auto bytes = s.unet.save_memory();
    auto cycle = [&] {
        auto context = test::context();
        auto schedule = diffusion::schedule::create(context, test::short_schedule());
        auto shapes = diffusion::dataset::create_shapes(s.context, test::size, 50, 1);
        diffusion::dataset_callback source;
        source.count = 1;
        source.height = source.width = source.channels = 1;
        source.fingerprint = 1;
        source.read = [](diffusion::dataset_item &) {};
        auto called = diffusion::dataset::create_from_callback(s.context, source);
        auto unet = diffusion::unet::create(s.context, test::network(), 1);
        auto loaded = diffusion::unet::load_memory(s.context, bytes);
        auto trainer = diffusion::trainer::create(unet, s.schedule, shapes, test::training());
        auto share = loaded.share(context);
        auto sampler = diffusion::sampler::create(share, schedule);
        auto held = sampler.start(test::request());
        CHECK(diffusion::unet::try_load(s.context, "missing").status() ==
              diffusion::status::not_found);
    };
    for (int i = 0; i < 100; i++) cycle();
    auto used = s.context.get_memory().used;
    long before = resident();
    for (int i = 0; i < 1000; i++) cycle();
    CHECK(s.context.get_memory().used == used);
    if (!sanitized) CHECK(resident() - before < 4 * 1024 * 1024);
}

TEST_CASE("objects keep what they were made from") {
    std::optional<diffusion::trainer> trainer;
    std::optional<diffusion::sampler> sampler;
    {
        test::setup s;
        trainer = s.trainer();
        sampler = s.sampler();
    }
    trainer->run(2);
    auto images = sampler->run(test::request());
    trainer.reset();
    CHECK(sampler->run(test::request()) == images);

    std::optional<diffusion::unet> share;
    auto context = test::context();
    {
        test::setup s;
        share = s.unet.share(context);
    }
    CHECK(share->get_options().classes == 10);
}

TEST_CASE("an object that ends in a callback is destroyed after the call") {
    test::setup s;
    std::optional<diffusion::trainer> trainer = s.trainer();
    std::optional<diffusion::dataset> other =
        diffusion::dataset::create_shapes(s.context, test::size, 5, 2);
    auto token = std::make_shared<int>(1);
    diffusion::dataset_callback source;
    source.count = 1;
    source.height = source.width = source.channels = 1;
    source.fingerprint = 1;
    source.read = [token](diffusion::dataset_item &) {};
    std::optional<diffusion::dataset> called =
        diffusion::dataset::create_from_callback(s.context, std::move(source));
    source.read = nullptr;
    auto used = s.context.get_memory().used;
    auto outcome = trainer->try_run(3, [&](const diffusion::train_stats &) {
        other.reset();
        called.reset();
        trainer.reset(); /* even the one that runs */
        CHECK(token.use_count() == 2);
    });
    CHECK(outcome.status() == diffusion::status::ok);
    CHECK(token.use_count() == 1);
    CHECK(s.context.get_memory().used < used);
}

TEST_CASE("an object that ends while another thread is in a call is destroyed after it") {
    test::setup s;
    auto trainer = s.trainer();
    auto used = s.context.get_memory().used;
    std::optional<diffusion::unet> unet = diffusion::unet::create(s.context, test::network(), 3);
    std::atomic<bool> running{false}, gone{false};
    std::thread worker([&] {
        auto outcome = trainer.try_run(100000, [&](const diffusion::train_stats &) {
            running = true;
            return gone ? diffusion::action::stop : diffusion::action::proceed;
        });
        CHECK(outcome.status() == diffusion::status::cancelled);
    });
    while (!running) std::this_thread::yield();
    unet.reset();
    gone = true;
    worker.join();
    CHECK(s.context.get_memory().used == used);
}

TEST_CASE("the context may end first") {
    int notes = 0;
    diffusion::context_options o;
    o.threads = 2;
    o.log = [&notes](std::int32_t, const char *) { notes++; };
    std::optional<diffusion::context> context = diffusion::context::create(o);
    auto unet = diffusion::unet::create(*context, test::network(), 1);
    auto sampler = diffusion::sampler::create(unet, diffusion::schedule::create(*context));
    context.reset();
    { auto taken = std::move(unet); }
    CHECK(sampler.run(test::request()).size() == 2 * test::image_floats);
    { auto taken = std::move(sampler); }
    CHECK(notes == 0); /* the library saw the right order */
}
