"""Programs of the SDK for JavaScript against the scheduler, and against this project's programs."""
