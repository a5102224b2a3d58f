//! What is known of a GPU beside its sample: processes, encoder and decoder, errors, the bus. A source that knows such things gives them after
//! each look. What they are called in the store is said elsewhere.

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Detail {
    /// The GPU, as in its reading.
    pub(crate) gpu: u32,
    /// Which figure.
    pub(crate) kind: Kind,
    /// The value, in the unit of its kind.
    pub(crate) value: f64,
    /// The process that it is about: its number and its name.
    pub(crate) process: Option<(u32, String)>,
}
impl Detail {
    /// A figure of the whole GPU; nothing where it is unknown.
    pub(crate) fn of(gpu: u32, kind: Kind, value: Option<f64>) -> Option<Detail> {
        value.filter(|value| value.is_finite() && *value >= 0.0).map(|value| Detail { gpu, kind, value, process: None })
    }
}

/// Which figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Percent.
    Encoder,
    /// Percent.
    Decoder,
    /// Percent of the time in which memory was read or written.
    MemoryBandwidth,
    /// MHz.
    MaxSmClock,
    /// Errors of memory since the GPU was made, that were corrected.
    EccCorrected,
    /// The same, that were not.
    EccUncorrected,
    /// Bytes per second.
    PcieSent,
    /// Bytes per second.
    PcieReceived,
    /// Packets that had to be sent again.
    PcieReplays,
    /// Generation of the link.
    PcieGeneration,
    /// Lanes of the link.
    PcieWidth,
    /// 0 works, 1 to 3 sleeps more and more.
    PciePowerState,
    /// 1 where it does, 0 where not.
    FirmwareAnswers,
    /// Joules since the driver was loaded.
    Energy,
    /// Bytes of GPU memory of a process.
    ProcessMemory,
}
