//! The time between frames: read off trusted times as frames pass by, the same for every frame of
//! every file, or given by the user. Times ps.

use crate::TrajectoryError;

/// Watches the times of frames that are read in order, file after file.
#[derive(Clone, Debug)]
pub struct Clock {
    frame_ps: Option<f64>,
    /// Who says so, for messages.
    from: String,
    previous: Option<f64>,
    /// A file that was read, for the message that none has times.
    seen: String,
}

impl Clock {
    /// A clock; `frame_ps` is the time between the *stored* frames where the files cannot tell it,
    /// and is compared with the times where they can.
    pub fn new(frame_ps: Option<f64>) -> Result<Self, TrajectoryError> {
        if let Some(ps) = frame_ps.filter(|ps| !(ps.is_finite() && *ps > 0.0)) {
            let message = format!("frame_ps is {ps}; it must be above 0 ps");
            return Err(TrajectoryError::Io { file: "dataset".into(), message });
        }
        let seen = String::from("dataset");
        Ok(Self { frame_ps, from: "frame_ps".into(), previous: None, seen })
    }

    /// Takes the time of frame `index` of a file; frame 0 begins a file. The first two trusted
    /// times set the spacing; every later pair must agree.
    pub fn see(
        &mut self,
        file: &str,
        index: usize,
        time_ps: Option<f64>,
    ) -> Result<(), TrajectoryError> {
        let before = self.previous.filter(|_| index > 0);
        self.previous = time_ps;
        if index == 0 && self.seen != file {
            self.seen = file.to_owned();
        }
        match (before, time_ps) {
            (Some(before), Some(now)) => self.check(file, index, before, now),
            _ => Ok(()),
        }
    }

    /// Time between frames, ps; an error if nothing said it.
    pub fn frame_ps(&self) -> Result<f64, TrajectoryError> {
        self.frame_ps.ok_or_else(|| TrajectoryError::Io {
            file: self.seen.clone(),
            message: "no trustworthy times in the files; give the time between frames (--frame-ps)"
                .into(),
        })
    }

    /// Files store f32 times, whose rounding grows with the time itself.
    fn check(
        &mut self,
        name: &str,
        frame: usize,
        before: f64,
        now: f64,
    ) -> Result<(), TrajectoryError> {
        let step = now - before;
        let Some(expected) = self.frame_ps else {
            if !(step.is_finite() && step > 0.0) {
                let message = format!("its time {now} ps does not follow {before} ps");
                return Err(TrajectoryError::Frame { file: name.into(), frame, message });
            }
            // A few digits of an f32 difference: 0.099998 is 0.1.
            let digits = 10f64.powi(6 - (step.log10().ceil() as i32));
            let rounded = (step * digits).round() / digits;
            let slack = f64::from(f32::EPSILON) * now.abs();
            let coarse = (step * 1e3).round() / 1e3;
            let use_coarse = coarse > 0.0 && (coarse - step).abs() <= slack.max(1e-6);
            self.frame_ps = Some(if use_coarse { coarse } else { rounded });
            self.from = name.to_owned();
            return Ok(());
        };
        let tolerance = 1e-3 * expected + 2.0 * f64::from(f32::EPSILON) * now.abs();
        if (step - expected).abs() <= tolerance {
            return Ok(());
        }
        let message = format!(
            "{step:.6} ps after the frame before it, but {} says {expected} ps; frames must be \
             equally spaced in every file (join or thin them first)",
            self.from
        );
        Err(TrajectoryError::Frame { file: name.into(), frame, message })
    }
}

/// `lag_ps` in frames of `frame_ps`. Errors if it is no whole number of frames, or none.
pub fn lag_in_frames(lag_ps: f64, frame_ps: f64) -> Result<usize, TrajectoryError> {
    let frames = (lag_ps / frame_ps).round();
    let off = (frames * frame_ps - lag_ps).abs();
    if !(frames >= 1.0 && off <= 1e-3 * frame_ps) {
        let message = format!(
            "a lag of {lag_ps} ps is no whole number of frames of {frame_ps} ps; choose a multiple"
        );
        return Err(TrajectoryError::Io { file: "dataset".into(), message });
    }
    Ok(frames as usize)
}
