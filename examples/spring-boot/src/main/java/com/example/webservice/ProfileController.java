package com.example.webservice;

import java.util.List;
import java.util.Set;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Says which slot this process is: the deployment profile if one is active, else the first profile, else "default". */
@RestController
public class ProfileController {

    private static final Set<String> DEPLOYMENT_PROFILES = Set.of("real", "real1", "real2");

    private final Environment environment;

    public ProfileController(Environment environment) {
        this.environment = environment;
    }

    @GetMapping("/profile")
    public String profile() {
        List<String> active = List.of(environment.getActiveProfiles());
        for (String name : active) {
            if (DEPLOYMENT_PROFILES.contains(name)) {
                return name;
            }
        }
        return active.isEmpty() ? "default" : active.get(0);
    }
}
