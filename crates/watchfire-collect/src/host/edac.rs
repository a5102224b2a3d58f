//! Errors that the memory controllers corrected or could not correct.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Edac;

const CORRECTED: (&str, &str) = ("node_edac_correctable_errors_total", "Total correctable memory errors.");
const UNCORRECTED: (&str, &str) = ("node_edac_uncorrectable_errors_total", "Total uncorrectable memory errors.");
const ROW_CORRECTED: (&str, &str) = ("node_edac_csrow_correctable_errors_total", "Total correctable memory errors for this csrow.");
const ROW_UNCORRECTED: (&str, &str) = ("node_edac_csrow_uncorrectable_errors_total", "Total uncorrectable memory errors for this csrow.");

impl Collector for Edac {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let base = "/sys/devices/system/edac/mc";
        for mc in files.names(base) {
            let Some(controller) = mc.strip_prefix("mc").filter(|n| n.parse::<u32>().is_ok()) else { continue };
            for (file, row_file, total, row) in
                [("ce_count", "ce_noinfo_count", CORRECTED, ROW_CORRECTED), ("ue_count", "ue_noinfo_count", UNCORRECTED, ROW_UNCORRECTED)]
            {
                if let Some(count) = files.number(&format!("{base}/{mc}/{file}")) {
                    out.counter(total.0, &total.1, &[("controller", controller)], count);
                }
                if let Some(count) = files.number(&format!("{base}/{mc}/{row_file}")) {
                    out.counter(row.0, &row.1, &[("controller", controller), ("csrow", "unknown")], count);
                }
                for name in files.names(&format!("{base}/{mc}")) {
                    let Some(csrow) = name.strip_prefix("csrow").filter(|n| n.parse::<u32>().is_ok()) else { continue };
                    if let Some(count) = files.number(&format!("{base}/{mc}/{name}/{file}")) {
                        out.counter(row.0, &row.1, &[("controller", controller), ("csrow", csrow)], count);
                    }
                }
            }
        }
        Ok(())
    }
}
