"""What is known of tests over executions: stable ids, estimates from former runs, quarantine, and gates."""
