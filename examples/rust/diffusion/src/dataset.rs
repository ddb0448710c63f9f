// SPDX-License-Identifier: MIT
//! Sources of training images.
use crate::callback::{output, slice, Hook, HookBox};
use crate::claim::Keep;
use crate::context::Context;
use crate::error::CallbackResult;
use crate::handle::Handle;
use crate::plain::{c_path, new_raw, to_raw, CStrings, Plain};
use crate::{sys, DatasetCallback, DatasetInfo, Error, Result, Split};
use std::ffi::CStr;
use std::fmt;
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_void;
use std::path::Path;
use std::sync::Arc;

/// Images `u8` `[height, width, channels]`, each with a label, or -1 for none. Height and width are
/// 1 to 65536, channels 1 to 64.
pub struct Dataset {
    pub(crate) handle: Arc<Handle<sys::dm_dataset>>,
}

impl Dataset {
    /// The binary version of CIFAR-10: the published `cifar-10-binary.tar.gz`, or a folder with its
    /// `.bin` files. Everything is read here.
    pub fn load_cifar10(context: &Context, path: impl AsRef<Path>, split: Split) -> Result<Self> {
        let path = c_path(path.as_ref())?;
        // SAFETY: a string.
        Self::create(context, Vec::new(), |out, c| unsafe {
            sys::dm_dataset_load_cifar10(out, c, path.as_ptr(), split.0)
        })
    }

    /// Generated shapes in ten classes, `size` pixels high and wide, 16 to 64; `count` is the
    /// number of images. Image `index` of a seed is always the same.
    pub fn shapes(context: &Context, size: i32, count: u64, seed: u64) -> Result<Self> {
        // SAFETY: numbers only.
        Self::create(context, Vec::new(), |out, c| unsafe {
            sys::dm_dataset_create_shapes(out, c, size, count, seed)
        })
    }

    /// The same images with a condition vector each, `[x, y, size, r, g, b]` in [-1, 1]: centre,
    /// radius and colour of the shape.
    pub fn described_shapes(context: &Context, size: i32, count: u64, seed: u64) -> Result<Self> {
        // SAFETY: numbers only.
        Self::create(context, Vec::new(), |out, c| unsafe {
            sys::dm_dataset_create_described_shapes(out, c, size, count, seed)
        })
    }

    /// These images for super-resolution: the condition image of each is the image with `factor`
    /// times fewer pixels in each direction, enlarged to the old size. `factor`, 2 to 64, must
    /// divide height and width. This dataset is kept alive, and has no condition images.
    pub fn downscaled(&self, factor: i32) -> Result<Self> {
        let source = self.handle.raw;
        // SAFETY: a live object, which is kept alive.
        Self::create(&self.context(), vec![Box::new(self.handle.clone())], |out, _| unsafe {
            sys::dm_dataset_create_downscaled(out, source, factor)
        })
    }

    /// Copies images `[count, height, width, channels]` of that `[height, width, channels]`, with
    /// one label for each, or without labels.
    pub fn from_memory(
        context: &Context,
        shape: [i32; 3],
        pixels: &[u8],
        labels: Option<&[i32]>,
    ) -> Result<Self> {
        Self::from_memory_with(context, shape, pixels, labels, &DatasetConditions::default())
    }

    /// As [`from_memory`](Dataset::from_memory), with conditions, which are copied too.
    pub fn from_memory_with(
        context: &Context,
        shape: [i32; 3],
        pixels: &[u8],
        labels: Option<&[i32]>,
        conditions: &DatasetConditions<'_>,
    ) -> Result<Self> {
        Self::from_memory_named::<&str>(context, shape, pixels, labels, conditions, &[])
    }

    /// As [`from_memory_with`](Dataset::from_memory_with), with the names of all classes, at least
    /// the largest label + 1, or none. Each has 1 to 255 bytes and no control characters.
    pub fn from_memory_named<S: AsRef<str>>(
        context: &Context,
        shape: [i32; 3],
        pixels: &[u8],
        labels: Option<&[i32]>,
        conditions: &DatasetConditions<'_>,
        class_names: &[S],
    ) -> Result<Self> {
        let mut raw = memory(shape, pixels, labels, true)?;
        let names = CStrings::new("class_names", class_names)?;
        conditions.write(&mut raw);
        raw.class_name_count = names.len() as u64;
        raw.class_names = names.as_ptr();
        // SAFETY: an initialised struct, whose arrays have the lengths it says and are copied.
        Self::create(context, Vec::new(), |out, c| unsafe {
            sys::dm_dataset_create_from_memory(out, c, &raw)
        })
    }

    /// As [`from_memory`](Dataset::from_memory), without a copy: the dataset owns the arrays.
    pub fn from_vec(
        context: &Context,
        shape: [i32; 3],
        pixels: Vec<u8>,
        labels: Option<Vec<i32>>,
    ) -> Result<Self> {
        let raw = memory(shape, &pixels, labels.as_deref(), false)?;
        // SAFETY: as above; moving the vectors leaves their arrays in place, and they live until
        // the dataset is destroyed.
        Self::create(context, vec![Box::new(pixels), Box::new(labels)], |out, c| unsafe {
            sys::dm_dataset_create_from_memory(out, c, &raw)
        })
    }

    /// Images that a closure provides: it gets an image's index and the place for its pixels
    /// `[height, width, channels]`, all 0, and returns its label, if it has one. An error stops the
    /// call that needed the image.
    pub fn from_callback(
        context: &Context,
        about: &DatasetCallback,
        mut read: impl FnMut(u64, &mut [u8]) -> CallbackResult<Option<i32>> + Send + 'static,
    ) -> Result<Self> {
        Self::from_items(context, about, move |item| {
            item.label = read(item.index, item.pixels)?;
            Ok(())
        })
    }

    /// As [`from_callback`](Dataset::from_callback), for images with conditions: the closure fills
    /// in all of an item.
    pub fn from_items(
        context: &Context,
        about: &DatasetCallback,
        read: impl FnMut(&mut DatasetItem<'_>) -> CallbackResult + Send + 'static,
    ) -> Result<Self> {
        Self::from_items_with(context, about, DatasetHooks::new(), read)
    }

    /// As [`from_items`](Dataset::from_items), with names of classes and a prefetch.
    pub fn from_items_with(
        context: &Context,
        about: &DatasetCallback,
        hooks: DatasetHooks,
        read: impl FnMut(&mut DatasetItem<'_>) -> CallbackResult + Send + 'static,
    ) -> Result<Self> {
        let names = CStrings::new("class_names", &hooks.class_names)?;
        let mut raw = to_raw(about);
        raw.class_name_count = names.len() as u64;
        raw.class_names = names.as_ptr();
        raw.prefetch = hooks.prefetch.is_some().then_some(prefetch_items as Prefetcher);
        let reader = Reader { read: Box::new(read), prefetch: hooks.prefetch };
        let hook = HookBox::new(&context.inner, reader);
        raw.read = Some(read_item);
        raw.user = hook.user();
        // SAFETY: an initialised struct; the hook lives until the dataset is destroyed.
        Self::create(context, vec![Box::new(hook)], |out, c| unsafe {
            sys::dm_dataset_create_from_callback(out, c, &raw)
        })
    }

    fn create(
        context: &Context,
        keep: Vec<Keep>,
        create: impl FnOnce(*mut *mut sys::dm_dataset, *mut sys::dm_context) -> i32,
    ) -> Result<Self> {
        Ok(Dataset { handle: Arc::new(Handle::create(&context.inner, keep, create)?) })
    }

    /// Its context.
    pub fn context(&self) -> Context {
        Context { inner: self.handle.context.clone() }
    }

    /// Count, shape, number of labels and fingerprint.
    pub fn info(&self) -> Result<DatasetInfo> {
        let mut raw = new_raw::<DatasetInfo>();
        // SAFETY: an initialised struct for the result.
        self.handle.call(|d| unsafe { sys::dm_dataset_get_info(d, &mut raw) })?;
        Ok(DatasetInfo::from_raw(&raw))
    }

    /// The pixels `[height, width, channels]` of image `index`, and its label, if it has one.
    pub fn image(&self, index: u64) -> Result<(Vec<u8>, Option<i32>)> {
        let info = self.info()?;
        let size = [info.height, info.width, info.channels];
        let bytes = size.iter().map(|&n| n.max(0) as usize).product();
        let mut pixels = vec![0; bytes];
        let mut label = -1;
        // SAFETY: an array and its length, and a place for the label.
        self.handle.call(|d| unsafe {
            sys::dm_dataset_get_image(d, index, pixels.as_mut_ptr(), pixels.len(), &mut label)
        })?;
        Ok((pixels, (label >= 0).then_some(label)))
    }

    /// The conditions of image `index`: image `[height, width, condition_channels]` and vector
    /// `[condition_size]`; empty where the dataset has none.
    pub fn condition(&self, index: u64) -> Result<(Vec<u8>, Vec<f32>)> {
        let info = self.info()?;
        let size = [info.height, info.width, info.condition_channels];
        let mut image = vec![0u8; size.iter().map(|&n| n.max(0) as usize).product()];
        let mut vector = vec![0.0f32; info.condition_size.max(0) as usize];
        let (bytes, elements) = (image.len(), vector.len());
        let pixels = if bytes > 0 { image.as_mut_ptr() } else { std::ptr::null_mut() };
        let values = if elements > 0 { vector.as_mut_ptr() } else { std::ptr::null_mut() };
        // SAFETY: arrays with their lengths, or NULL and 0.
        self.handle.call(|d| unsafe {
            sys::dm_dataset_get_condition(d, index, pixels, bytes, values, elements)
        })?;
        Ok((image, vector))
    }

    /// "airplane", "circle"; None if the label has no name.
    pub fn class_name(&self, label: i32) -> Option<&str> {
        // SAFETY: a property that never changes; the string lives as long as the dataset.
        unsafe {
            let name = sys::dm_dataset_class_name(self.handle.raw, label);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_str().ok()).flatten()
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").finish_non_exhaustive()
    }
}

/// Conditions of images in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatasetConditions<'a> {
    /// Channels of a condition image, 0 to 64.
    pub channels: i32,
    /// Floats of a condition vector, 0 to 65536.
    pub size: i32,
    /// Whether vectors stay right when an image is flipped or cropped.
    pub vector_invariant: bool,
    /// `[count, height, width, channels]`.
    pub images: Option<&'a [u8]>,
    /// `[count, size]`, finite.
    pub vectors: Option<&'a [f32]>,
}

impl DatasetConditions<'_> {
    fn write(&self, raw: &mut sys::dm_dataset_memory) {
        raw.condition_channels = self.channels;
        raw.condition_size = self.size;
        raw.vector_invariant = i32::from(self.vector_invariant);
        if let Some(images) = self.images {
            raw.condition_image_bytes = images.len() as u64;
            raw.condition_images = images.as_ptr();
        }
        if let Some(vectors) = self.vectors {
            raw.condition_vector_elements = vectors.len() as u64;
            raw.condition_vectors = vectors.as_ptr();
        }
    }
}

/// What [`Dataset::from_items_with`] takes beside the closure that reads.
#[derive(Default)]
pub struct DatasetHooks {
    class_names: Vec<String>,
    prefetch: Option<Prefetch>,
}

impl DatasetHooks {
    /// None of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of the classes, `classes` of them. Each has 1 to 255 bytes and no control
    /// characters.
    #[must_use]
    pub fn class_names<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.class_names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Is told the indices of the images that will be read next, in that order, so that other
    /// threads can prepare them: those of the next pass of training. It should return at once. A
    /// panic in it goes on when the library's call ends.
    #[must_use]
    pub fn prefetch(mut self, prefetch: impl FnMut(&[u64]) + Send + 'static) -> Self {
        self.prefetch = Some(Box::new(prefetch));
        self
    }
}

impl fmt::Debug for DatasetHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetHooks")
            .field("class_names", &self.class_names)
            .field("prefetch", &self.prefetch.is_some())
            .finish()
    }
}

/// One image to be filled in by the closure of [`Dataset::from_items`].
#[derive(Debug)]
#[non_exhaustive]
pub struct DatasetItem<'a> {
    /// Of the image.
    pub index: u64,
    /// In training, passes over the dataset before this one, so that an image can be cropped in
    /// another way each time; else 0.
    pub epoch: u64,
    /// The label to be set; None when called.
    pub label: Option<i32>,
    /// `[height, width, channels]`, all 0 when called.
    pub pixels: &'a mut [u8],
    /// `[height, width, condition_channels]`; empty where the dataset has none.
    pub condition_image: &'a mut [u8],
    /// `[condition_size]`, to be finite; empty where the dataset has none.
    pub condition_vector: &'a mut [f32],
}

fn memory(
    [height, width, channels]: [i32; 3],
    pixels: &[u8],
    labels: Option<&[i32]>,
    copy: bool,
) -> Result<sys::dm_dataset_memory> {
    let mut raw = MaybeUninit::<sys::dm_dataset_memory>::zeroed();
    // SAFETY: the call initialises the struct, in which zeros are valid.
    let mut raw = unsafe {
        sys::dm_dataset_memory_init(raw.as_mut_ptr(), size_of::<sys::dm_dataset_memory>());
        raw.assume_init()
    };
    // At least one, so that a shape out of range is the library's to report.
    let bytes = [height, width, channels].iter().map(|&n| n.max(1) as u128).product::<u128>();
    if pixels.len() as u128 % bytes != 0 {
        let text = format!("{} bytes are not whole images of {bytes} bytes", pixels.len());
        return Err(Error::new(crate::Status::SHAPE_MISMATCH, text));
    }
    raw.copy = i32::from(copy);
    raw.count = (pixels.len() as u128 / bytes) as u64;
    raw.height = height;
    raw.width = width;
    raw.channels = channels;
    raw.pixel_bytes = pixels.len() as u64;
    raw.pixels = pixels.as_ptr();
    if let Some(labels) = labels {
        raw.label_count = labels.len() as u64;
        raw.labels = labels.as_ptr();
    }
    Ok(raw)
}

type Read = Box<dyn FnMut(&mut DatasetItem<'_>) -> CallbackResult + Send>;
type Prefetch = Box<dyn FnMut(&[u64]) + Send>;
type Prefetcher = unsafe extern "C" fn(*mut c_void, *const u64, usize);

/// The closures of a dataset.
struct Reader {
    read: Read,
    prefetch: Option<Prefetch>,
}

unsafe extern "C" fn read_item(user: *mut c_void, item: *mut sys::dm_dataset_item) -> i32 {
    // SAFETY: `user` is the dataset's hook, and the item holds that many bytes.
    unsafe {
        Hook::<Reader>::run(user, |reader| {
            let raw = &mut *item;
            let mut item = DatasetItem {
                index: raw.index,
                epoch: raw.epoch,
                label: None,
                pixels: output(raw.pixels, raw.pixel_bytes as usize),
                condition_image: output(raw.condition_image, raw.condition_image_bytes as usize),
                condition_vector: output(
                    raw.condition_vector,
                    raw.condition_vector_elements as usize,
                ),
            };
            (reader.read)(&mut item)?;
            raw.label = item.label.unwrap_or(-1);
            Ok(())
        })
    }
}

unsafe extern "C" fn prefetch_items(user: *mut c_void, indices: *const u64, count: usize) {
    // SAFETY: `user` is the dataset's hook, and there are that many indices.
    unsafe {
        Hook::<Reader>::run(user, |reader| {
            if let Some(prefetch) = &mut reader.prefetch {
                prefetch(slice(indices, count));
            }
            Ok(())
        });
    }
}
