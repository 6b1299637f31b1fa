package com.example.webservice;

import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.info.BuildProperties;
import org.springframework.stereotype.Component;

/** What this process answers about itself: the version stamped into the jar, and its slot. */
@Component
public class Identity {

    private final String version;
    private final ProfileController profile;

    public Identity(ObjectProvider<BuildProperties> build, ProfileController profile) {
        BuildProperties properties = build.getIfAvailable();
        this.version = properties == null ? "unstamped" : properties.get("release");
        this.profile = profile;
    }

    public String version() {
        return version;
    }

    public String slot() {
        return profile.profile();
    }
}
