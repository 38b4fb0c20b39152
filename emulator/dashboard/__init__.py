"""The web pages on port 8082: which orchestration instances there are and what they did."""
