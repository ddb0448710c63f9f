// SPDX-License-Identifier: MIT
// Names of classes, runs that go on with other options, what files say about training, and what a
// dataset is told while it trains.
#include "tests.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr std::uint64_t count = 10;

/// What a dataset of black images was asked for.
struct reads {
    std::vector<std::uint64_t> index, epoch, told;
};

diffusion::dataset_callback source(reads &log) {
    diffusion::dataset_callback o;
    o.count = count;
    o.height = o.width = test::size;
    o.channels = 3;
    o.classes = 10;
    o.read = [&log](diffusion::dataset_item &item) {
        log.index.push_back(item.index);
        log.epoch.push_back(item.epoch);
        item.label = static_cast<std::int32_t>(item.index);
    };
    return o;
}

std::vector<std::string> ten_names() {
    std::vector<std::string> names;
    for (int i = 0; i < 10; i++) names.push_back("class " + std::to_string(i));
    return names;
}

bool has_names(const diffusion::unet &unet, const std::vector<std::string> &names) {
    for (std::size_t i = 0; i < names.size(); i++) {
        const char *name = unet.class_name(static_cast<std::int32_t>(i));
        if (!name || names[i] != name) return false;
    }
    return unet.class_name(static_cast<std::int32_t>(names.size())) == nullptr;
}

} // namespace

TEST_CASE("files and shares keep the names of classes") {
    test::setup s;
    const std::vector<std::string> names = ten_names();
    CHECK(s.unet.class_name(0) == nullptr);
    s.unet.set_class_names(names);
    CHECK(has_names(s.unet, names));
    test::file saved("names_test.safetensors");
    s.unet.save(saved.path);
    CHECK(has_names(diffusion::unet::load(s.context, saved.path), names));
    CHECK(has_names(diffusion::unet::load_memory(s.context, s.unet.save_memory()), names));
    {
        auto share = s.unet.share(s.context);
        CHECK(has_names(share, names));
        CHECK(s.unet.try_set_class_names({}).status() == diffusion::status::wrong_state);
    }
    std::vector<std::string> bad = names;
    bad[3] = "two\nlines";
    auto refused = s.unet.try_set_class_names(bad);
    CHECK(refused.status() == diffusion::status::invalid_argument);
    CHECK(test::contains(refused.error().what(), "class 3"));
    bad.pop_back();
    CHECK(s.unet.try_set_class_names(bad).status() == diffusion::status::shape_mismatch);
    CHECK(has_names(s.unet, names));
    s.unet.set_class_names({});
    CHECK(s.unet.class_name(0) == nullptr);
    auto gone = std::move(s.unet);
    CHECK(s.unet.class_name(0) == nullptr);
    CHECK(s.unet.try_set_class_names(names).status() == diffusion::status::invalid_argument);
}

TEST_CASE("a trained network takes the names of its data") {
    test::setup s;
    reads log;
    const std::vector<std::string> names = ten_names();
    diffusion::dataset_callback o = source(log);
    o.class_names = names;
    auto called = diffusion::dataset::create_from_callback(s.context, o);
    CHECK(std::strcmp(called.class_name(9), "class 9") == 0);
    auto trainer = diffusion::trainer::create(s.unet, s.schedule, called, test::training());
    CHECK(has_names(s.unet, names));
    auto bytes = trainer.save_memory();
    CHECK(has_names(diffusion::unet::load_memory(s.context, bytes), names));

    std::vector<std::uint8_t> pixels(2 * test::image_floats);
    const std::int32_t labels[] = {0, 3};
    auto copied = diffusion::dataset::create_from_memory(s.context, 2, test::size, test::size, 3,
                                                         pixels, labels, {}, names);
    auto borrowed = diffusion::dataset::create_from_borrowed(s.context, 2, test::size, test::size,
                                                             3, pixels, labels, {}, names);
    for (const diffusion::dataset *set : {&copied, &borrowed}) {
        CHECK(set->get_info().classes == 10);
        CHECK(std::strcmp(set->class_name(4), "class 4") == 0);
    }
    o.class_names.pop_back();
    CHECK(diffusion::dataset::try_create_from_callback(s.context, o).status() ==
          diffusion::status::shape_mismatch);
}

TEST_CASE("a run goes on with another batch and rate") {
    test::setup s;
    reads log;
    auto called = diffusion::dataset::create_from_callback(s.context, source(log));
    test::file saved("changed_test.safetensors");
    {
        auto trainer = diffusion::trainer::create(s.unet, s.schedule, called, test::training());
        trainer.run(6);
        trainer.save(saved.path);
    }
    diffusion::trainer_options o = diffusion::trainer::load_options(s.context, saved.path);
    CHECK(o.batch_size == 2);
    CHECK(o.learning_rate == 1e-3);
    auto fresh = diffusion::unet::load(s.context, saved.path, diffusion::weights::trained);
    auto same = diffusion::trainer::resume_changed(fresh, saved.path, o);
    CHECK(same.get_step() == 6);
    { auto gone = std::move(same); }

    o.batch_size = 4;
    o.learning_rate = 0.25;
    o.ema_decay[1] = 0.5;
    log = {};
    auto trainer = diffusion::trainer::resume_changed(fresh, called, saved.path, o);
    CHECK(trainer.get_options().batch_size == 4);
    auto stats = trainer.step();
    CHECK(stats.step == 7);
    CHECK(stats.images == 16); /* positions 12 to 15 */
    CHECK(stats.learning_rate == 0.25);
    CHECK(log.epoch == std::vector<std::uint64_t>(4, 1));
    o.distill_steps = 4;
    auto other = diffusion::unet::load(s.context, saved.path, diffusion::weights::trained);
    auto refused = diffusion::trainer::try_resume_changed(other, called, saved.path, o);
    CHECK(refused.status() == diffusion::status::invalid_argument);
    CHECK(test::contains(refused.error().what(), "distill_steps"));
}

TEST_CASE("files say how far training has come") {
    test::setup s;
    test::file saved("info_test.safetensors");
    auto trainer = s.trainer();
    trainer.run(3);
    trainer.save(saved.path);
    auto info = diffusion::trainer::load_info(s.context, saved.path);
    CHECK(info.training == 1);
    CHECK(info.step == 3);
    CHECK(info.images == 6);
    CHECK(info.dataset_count == 50);
    CHECK(info.dataset_fingerprint == s.shapes.get_info().fingerprint);
    CHECK(info.emas == 1);
    CHECK(info.null_class == 1);
    s.unet.save(saved.path);
    info = diffusion::trainer::load_info(s.context, saved.path);
    CHECK(info.training == 0);
    CHECK(info.step == 0);
    CHECK(info.null_class == 1);
    CHECK(diffusion::trainer::try_load_options(s.context, saved.path).status() ==
          diffusion::status::bad_format);
    CHECK(diffusion::trainer::try_load_info(s.context, "missing").status() ==
          diffusion::status::not_found);
}

TEST_CASE("datasets are told what is read next, and know the epoch") {
    test::setup s;
    reads log;
    diffusion::dataset_callback o = source(log);
    o.prefetch = [&](diffusion::span<const std::uint64_t> indices) {
        CHECK(log.told.size() == (log.told.empty() ? 0 : log.index.size()));
        log.told.insert(log.told.end(), indices.begin(), indices.end());
    };
    auto called = diffusion::dataset::create_from_callback(s.context, o);
    auto trainer = diffusion::trainer::create(s.unet, s.schedule, called, test::training());
    trainer.run(7, [](const diffusion::train_stats &stats) {
        std::int32_t images = 0;
        for (int q = 0; q < 4; q++) {
            CHECK(std::isfinite(stats.quarter_loss[q]));
            images += stats.quarter_images[q];
        }
        CHECK(images == 2);
    });
    REQUIRE(log.index.size() == 14);
    REQUIRE(log.told.size() == 16);
    CHECK(std::equal(log.index.begin(), log.index.end(), log.told.begin()));
    for (std::size_t i = 0; i < log.epoch.size(); i++) CHECK(log.epoch[i] == i / count);

    o.prefetch = [](diffusion::span<const std::uint64_t>) { throw std::logic_error("too far"); };
    auto throwing = diffusion::dataset::create_from_callback(s.context, o);
    auto unet = diffusion::unet::create(s.context, test::network(), 1);
    auto other = diffusion::trainer::create(unet, s.schedule, throwing, test::training());
    CHECK_THROWS_WITH_AS(other.step(), "too far", std::logic_error);
    CHECK(other.get_step() == 1); /* it cannot stop the step */
}
