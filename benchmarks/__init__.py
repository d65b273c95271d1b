"""Speed and memory, measured against what the hardware allows and against rclip; never timed tests."""
